"""A connection to an AMQP 0-9-1 broker: who it is, and what its queues hold."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar, cast
from urllib.parse import quote

import trio
from aiormq import Connection, exceptions
from aiormq.connection import FrameReceiver, ReceivedFrame, TransportFactory
from pamqp import commands
from pamqp.base import Frame
from pamqp.common import FieldTable
from pamqp.frame import FrameTypes
from trio_asyncio import aio_as_trio, trio_as_aio
from yarl import URL

from hermesd.bridge.amqp_url import MAX_SHORT_BYTES, AmqpUrl
from hermesd.core.errors import AccessRefused, HermesError, InvalidValue, Unavailable

HEARTBEAT_SECONDS: Final = 10  # a peer silent for three of them is given up
TLS_GOODBYE_SECONDS: Final = 1.0
REFUSAL_CODES: Final = (403, 530)  # AMQP 0-9-1: access-refused; not-allowed, of a virtual host

_REFUSALS: Final = (
    exceptions.AuthenticationError,
    exceptions.ProbableAuthenticationError,
    exceptions.ConnectionNotAllowed,
    exceptions.ChannelAccessRefused,
)
_LOST: Final = (asyncio.CancelledError, EOFError, StopAsyncIteration, RuntimeError)

AnswerT = TypeVar("AnswerT")
CallP = ParamSpec("CallP")


@dataclass(frozen=True, kw_only=True)
class Broker:
    """What the broker says of itself in Connection.Start; empty where it does not."""

    product: str
    version: str
    cluster_name: str


@dataclass(frozen=True, kw_only=True)
class QueueFacts:
    """Messages that are ready for delivery, and consumers, at the moment of asking."""

    messages: int
    consumers: int


@asynccontextmanager
async def open_amqp(
    url: str, *, call_timeout_seconds: float, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[AmqpConnection]:
    """A connection to the broker at `url`, logged in; must be opened inside `open_bridge()`.

    Connecting, each call and closing have `call_timeout_seconds` each. Raises InvalidValue where
    the URL is none (see AmqpUrl), AccessRefused where the login or the virtual host is refused, and
    Unavailable for whatever else keeps it from the broker. Errors name host and port, never the
    password. For amqps:// the certificate is checked against `ssl_context`, or else against the
    system's authorities.
    """
    address = AmqpUrl.parse(url)
    if address.tls and ssl_context is None:
        ssl_context = ssl.create_default_context()
    transport = _Transport(address, ssl_context if address.tls else None, call_timeout_seconds)
    edge = _Edge(address.where, call_timeout_seconds)
    try:
        connection = await edge.call(_connect, address, transport)
        try:
            yield AmqpConnection(connection, edge)
        finally:
            with trio.move_on_after(call_timeout_seconds, shield=True):
                await aio_as_trio(_close)(connection)
    finally:
        transport.abort()


class AmqpConnection:
    """An open connection; it does not come back by itself when it is lost.

    Every call raises Unavailable when the broker does not answer it in time or the connection is
    lost, and AccessRefused when the user may not do it; other calls are not harmed by either.
    They are made one after the other, and the wait for those before counts as waiting for the
    broker.
    """

    def __init__(self, connection: Connection, edge: _Edge) -> None:
        self._connection = connection
        self._edge = edge

    @property
    def where(self) -> str:
        """host:port of the broker."""
        return self._edge.where

    @property
    def broker(self) -> Broker:
        """What the broker said of itself."""
        said = self._connection.server_properties or {}
        texts = {name: value for name, value in said.items() if isinstance(value, str)}
        return Broker(
            product=texts.get("product", ""),
            version=texts.get("version", ""),
            cluster_name=texts.get("cluster_name", ""),
        )

    async def round_trip_seconds(self) -> float:
        """How long the broker took to answer: one small frame there, one back."""
        return await self._edge.call(_round_trip_seconds, self._connection)

    async def queue(self, name: str) -> QueueFacts | None:
        """What the queue holds; None where there is none of that name. Creates nothing."""
        _check_name(name)
        return await self._edge.call(_queue_facts, self._connection, name)


class _Edge:
    """Runs asyncio-flavoured calls, one at a time; their errors come out as the core's."""

    def __init__(self, where: str, call_timeout_seconds: float) -> None:
        self.where = where
        self._call_timeout_seconds = call_timeout_seconds
        # aiormq frees the number of a channel that the broker has closed before it says so to the
        # broker (and with a full buffer never does); who opens it then loses the connection.
        self._one_call = trio.Lock()

    async def call(
        self, call: Callable[CallP, Awaitable[AnswerT]], *args: CallP.args, **kwargs: CallP.kwargs
    ) -> AnswerT:
        with trio.move_on_after(self._call_timeout_seconds):
            async with self._one_call:
                return await self._translated(call, *args, **kwargs)
        raise Unavailable(f"{self.where}: no answer within {self._call_timeout_seconds:g} s")

    async def _translated(
        self, call: Callable[CallP, Awaitable[AnswerT]], *args: CallP.args, **kwargs: CallP.kwargs
    ) -> AnswerT:
        try:
            result: AnswerT = await aio_as_trio(call)(*args, **kwargs)
        except HermesError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            # A CancelledError that is not trio's is aiormq's own, or the loop's that is closing.
            refused = isinstance(error, _REFUSALS) or _code(error) in REFUSAL_CODES
            error_class = AccessRefused if refused else Unavailable
            raise error_class(f"{self.where}: {_reason(error)}") from error
        return result


class _Transport(TransportFactory):
    """Opens the socket and keeps hold of it: aiormq's own close can wait long for a dead peer."""

    def __init__(
        self, address: AmqpUrl, ssl_context: ssl.SSLContext | None, handshake_seconds: float
    ) -> None:
        self._address = address
        self._options: dict[str, Any] = {}
        if ssl_context is not None:
            self._options = {
                "ssl": ssl_context,
                "server_hostname": address.host,
                "ssl_handshake_timeout": handshake_seconds,
                "ssl_shutdown_timeout": TLS_GOODBYE_SECONDS,
            }
        self._writer: asyncio.StreamWriter | None = None

    async def create(
        self, url: URL, **_kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See TransportFactory."""
        # Here asyncio's own look-up of a name cannot be cancelled; trio's can.
        dial = trio_as_aio(trio.open_tcp_stream)
        stream: trio.SocketStream = await dial(self._address.host, self._address.port)
        dialled = socket.socket(fileno=stream.socket.detach())
        dialled.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=dialled, **self._options)
        return reader, self._writer

    def abort(self) -> None:
        """Drop the socket if it is still there."""
        if self._writer is not None:
            self._writer.transport.abort()


class _Connection(Connection):
    """aiormq's, which would tell a Connection.Close in answer to Connection.Open as garbage."""

    @staticmethod
    async def _rpc(
        request: Frame,
        writer: asyncio.StreamWriter,
        frame_receiver: FrameReceiver,
        wait_response: bool = True,
    ) -> FrameTypes | None:
        frames = _OpeningFrames(frame_receiver)
        return await Connection._rpc(request, writer, frames, wait_response)


class _OpeningFrames(FrameReceiver):
    """The frames of `receiver`; a Connection.Close among them is raised."""

    def __init__(self, receiver: FrameReceiver) -> None:
        super().__init__(receiver.reader)
        self._receiver = receiver

    async def get_frame(self) -> ReceivedFrame:
        received = await self._receiver.get_frame()
        frame = received[-1]
        if isinstance(frame, commands.Connection.Close):
            raise exceptions.ConnectionClosed(frame.reply_code, frame.reply_text)
        return received


async def _connect(address: AmqpUrl, transport: _Transport) -> Connection:
    scheme = "amqps" if address.tls else "amqp"
    login = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}"
    path = f"{quote(address.vhost, safe='')}?heartbeat={HEARTBEAT_SECONDS}"
    url = URL(f"{scheme}://{login}@{address.where}/{path}", encoded=True)
    named = cast(FieldTable, {"connection_name": "hermesd"})  # shown by the broker's own tools
    connection = _Connection(url, transport_factory=transport, client_properties=named)
    connection.vhost = address.vhost  # aiormq decodes it by halves
    await connection.connect()
    return connection


async def _close(connection: Connection) -> None:
    with suppress(Exception, asyncio.CancelledError):  # it is lost already then
        await connection.close()


async def _round_trip_seconds(connection: Connection) -> float:
    started = trio.current_time()
    channel = await connection.channel(publisher_confirms=False)
    seconds = trio.current_time() - started
    await channel.close()
    return seconds


async def _queue_facts(connection: Connection, name: str) -> QueueFacts | None:
    # An error closes its channel, so no two calls share one.
    channel = await connection.channel(publisher_confirms=False)
    try:
        declared = await channel.queue_declare(name, passive=True)
    except exceptions.ChannelNotFoundEntity:
        return None
    await channel.close()
    return QueueFacts(messages=declared.message_count or 0, consumers=declared.consumer_count or 0)


def _code(error: BaseException) -> object:
    """The reply code of a Connection.Close; None for anything else."""
    return error.args[0] if isinstance(error, exceptions.ConnectionClosed) and error.args else None


def _reason(error: BaseException) -> str:
    if isinstance(error, _LOST):
        return "the connection was lost"
    if isinstance(error, OSError) and not error.errno and error.__cause__ is not None:
        return _reason(error.__cause__)  # of a host with several addresses: those of each
    if isinstance(error, ExceptionGroup):
        return _reason(error.exceptions[0])
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _check_name(name: str) -> None:
    try:
        commands.Queue.Declare(queue=name, passive=True)
        fits = 0 < len(name.encode()) <= MAX_SHORT_BYTES
    except ValueError:
        fits = False
    if not fits:
        rule = f"1 to {MAX_SHORT_BYTES} letters, digits, blanks and - _ . : @ # , / +"
        raise InvalidValue(f"a queue's name must have from {rule}")
