"""The gRPC server of an api: Control, the standard health service and server reflection."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import trio
from grpclib.const import Status
from grpclib.events import RecvRequest, listen
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.health.check import ServiceStatus
from grpclib.health.service import OVERALL, Health
from grpclib.protocol import H2Protocol
from grpclib.reflection.service import ServerReflection
from grpclib.server import Server
from h2.exceptions import ProtocolError as Http2ProtocolError
from structlog.typing import FilteringBoundLogger
from trio_asyncio import aio_as_trio

from hermesd.bridge.control_calls import ControlCalls
from hermesd.bridge.http2 import KEEPALIVE, GuardedProtocol, StrictCodec
from hermesd.core.errors import ConfigError
from hermesd.ports import ControlService

MAX_CONNECTIONS: Final = 2_048
BACKLOG: Final = 512


class BoundServer(NamedTuple):
    """Where a server listens; `port` is the real one where 0 was asked for."""

    host: str
    port: int


@asynccontextmanager
async def open_control_server(
    service: ControlService,
    host: str,
    port: int,
    *,
    max_message_bytes: int,
    log: FilteringBoundLogger,
    ssl_context: ssl.SSLContext | None = None,
    drain_seconds: float = 2.0,
    listening: socket.socket | None = None,
) -> AsyncIterator[BoundServer]:
    """Serve `service` until the context is left; ConfigError where host and port cannot be bound.

    A socket that is `listening` already is used instead of them, and closed in the end. Must be
    opened inside `open_bridge()`. Leaving stops accepting, ends poke streams, lets the calls under
    way finish for `drain_seconds`, then cancels them and closes all connections; when it has left,
    nothing runs in the service any more. The context's ALPN is set to h2.
    """
    if ssl_context is not None:
        ssl_context.set_alpn_protocols(["h2"])
    calls = ControlCalls(service, log)
    server, bound = await aio_as_trio(_start)(
        calls, host, port, partial(_ApiServer, log, max_message_bytes), ssl_context, listening
    )
    try:
        yield bound
    finally:
        with trio.CancelScope(shield=True):
            await aio_as_trio(server.stop_accepting)()
            with trio.move_on_after(drain_seconds):
                await calls.drain()
            await calls.close()
            await aio_as_trio(server.shut)()


class _ApiServer(Server):
    """grpclib's server with limits, a guard around every call, and an end in two steps."""

    def __init__(
        self, log: FilteringBoundLogger, max_message_bytes: int, control: ControlCalls
    ) -> None:
        self._control = control
        self._serving = ServiceStatus()
        self._serving.set(True)
        health = Health({OVERALL: [self._serving], control: [self._serving]})
        super().__init__(
            ServerReflection.extend([control, health]), codec=StrictCodec(), config=KEEPALIVE
        )
        self._log = log
        self._max_message_bytes = max_message_bytes
        self._connections: set[GuardedProtocol] = set()
        listen(self, RecvRequest, self._guard)

    async def bind(
        self,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
        listening: socket.socket | None,
    ) -> BoundServer:
        """Listen; OSError where that is not possible."""
        if listening is None:
            await self.start(host or None, port, ssl=ssl_context, backlog=BACKLOG)
        else:
            await self.start(sock=listening, ssl=ssl_context, backlog=BACKLOG)
            host = listening.getsockname()[0]
        assert isinstance(self._server, asyncio.Server)
        return BoundServer(host, self._server.sockets[0].getsockname()[1])

    async def stop_accepting(self) -> None:
        """Health says NOT_SERVING from here on, and no connection is taken."""
        self._serving.set(False)
        if self._server is not None:
            self._server.close()

    async def shut(self) -> None:
        """Cancel the handlers that are left and close every connection."""
        self.close()
        # wait_closed would wait for the connections too, from CPython 3.12 on.
        for handler in tuple(self._handlers):
            await handler.wait_closed()
        for connection in tuple(self._connections):
            connection.close()

    def _protocol_factory(self) -> H2Protocol:
        return GuardedProtocol(
            super()._protocol_factory(),
            partial(self._control.streams, self._max_message_bytes),
            self._admit,
            self._connections.discard,
        )

    def _admit(self, connection: GuardedProtocol) -> bool:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._log.warning("control_connections_exhausted", limit=MAX_CONNECTIONS)
            return False
        self._connections.add(connection)
        return True

    async def _guard(self, event: RecvRequest) -> None:
        method_func = event.method_func
        bound_log = self._log.bind(method=event.method_name)

        async def guarded(stream: Any) -> None:
            try:
                await method_func(stream)
            except (GRPCError, StreamTerminatedError):
                raise
            except Http2ProtocolError:
                raise GRPCError(Status.CANCELLED, "the caller has left") from None
            except Exception as error:
                bound_log.error("control_call_failed", exc_info=error)
                raise GRPCError(Status.INTERNAL, "internal error") from None

        event.method_func = guarded


async def _start(
    control: ControlCalls,
    host: str,
    port: int,
    make: partial[_ApiServer],
    ssl_context: ssl.SSLContext | None,
    listening: socket.socket | None,
) -> tuple[_ApiServer, BoundServer]:
    server = make(control)
    try:
        return server, await server.bind(host, port, ssl_context, listening)
    except OSError as error:
        number = error.errno or 0  # below 0 it is getaddrinfo's
        reason = os.strerror(number) if number > 0 else str(error)
        raise ConfigError([f"control: cannot listen on {host}:{port}: {reason}"]) from error
