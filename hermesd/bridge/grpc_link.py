"""A worker's line to one api over gRPC."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Never, ParamSpec, Self, TypeVar

import trio
from google.protobuf.message import DecodeError, Message
from grpclib.client import Stream
from grpclib.exceptions import GRPCError
from h2.exceptions import TooManyStreamsError
from trio_asyncio import aio_as_trio

from hermesd.bridge.asked import Refused
from hermesd.bridge.grpc_channel import ControlChannel
from hermesd.bridge.http2 import KEEPALIVE, StrictCodec
from hermesd.core.errors import HermesError, InvalidValue, Unavailable
from hermesd.core.fleet import (
    Deregistration,
    Heartbeat,
    HeartbeatAnswer,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.notes import NoteBatch
from hermesd.core.records import Claim, ClaimAnswer, Report, ReportAnswer
from hermesd.ports import ControlLink
from hermesd.wire.claims import claim_answers_from_proto, claims_to_proto
from hermesd.wire.fields import host_and_port
from hermesd.wire.fleet import (
    deregistration_to_proto,
    heartbeat_answer_from_proto,
    heartbeat_to_proto,
    registration_answer_from_proto,
    registration_to_proto,
)
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.gen.hermes.v1.control_grpc import ControlStub
from hermesd.wire.notes import note_answers_from_proto, notes_to_proto
from hermesd.wire.outcomes import report_answer_from_proto, report_to_proto
from hermesd.wire.status import error_of

MAX_CALLS: Final = 64  # below the 100 streams that a server of ours takes on one connection

AskedT = TypeVar("AskedT")
ReplyT = TypeVar("ReplyT", bound=Message)
AnswerT = TypeVar("AnswerT")
CallP = ParamSpec("CallP")


@asynccontextmanager
async def open_control_link(
    endpoint: str, *, call_timeout_seconds: float, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[ControlLink]:
    """A line to the api at `endpoint` (host:port); InvalidValue where that is none.

    Must be opened inside `open_bridge()`. It connects on the first call, and again on the next one
    after a connection was lost. The context's ALPN is set to h2.
    """
    host, port = host_and_port(endpoint, "endpoint")
    if ssl_context is not None:
        ssl_context.set_alpn_protocols(["h2"])
    channel = await aio_as_trio(_open_channel)(host, port, ssl_context)
    try:
        yield GrpcLink(endpoint, channel, call_timeout_seconds)
    finally:
        with trio.CancelScope(shield=True):
            await aio_as_trio(_close_channel)(channel)


class GrpcLink:
    """See ports.ControlLink; the api's refusals are raised as the errors that they were there."""

    def __init__(self, endpoint: str, channel: ControlChannel, call_timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._stub = ControlStub(channel)
        self._call_timeout_seconds = call_timeout_seconds
        self._lines = trio.CapacityLimiter(MAX_CALLS)

    @property
    def endpoint(self) -> str:
        """host:port of the api's control service."""
        return self._endpoint

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ControlLink.register."""
        request = _written(registration_to_proto, registration)
        reply = await self._call("Register", request, pb.RegisterResponse)
        self._channel.knows_dialogues = True  # it may be another release by now
        return self._read(registration_answer_from_proto, reply)

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ControlLink.heartbeat."""
        request = _written(heartbeat_to_proto, heartbeat)
        reply = await self._call("Heartbeat", request, pb.HeartbeatResponse)
        return self._read(heartbeat_answer_from_proto, reply)

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ControlLink.deregister."""
        request = _written(deregistration_to_proto, deregistration)
        await self._call("Deregister", request, pb.DeregisterResponse)

    async def report(self, report: Report) -> ReportAnswer:
        """See ControlLink.report; TooLarge asks for it again in smaller parts."""
        request = _written(report_to_proto, report)
        reply = await self._call("Report", request, pb.ReportResponse)
        answer = self._read(report_answer_from_proto, reply)
        if len(answer.verdicts) != len(report.outcomes):
            counts = f"{len(answer.verdicts)} verdicts for {len(report.outcomes)} outcomes"
            raise Unavailable(f"{self._endpoint}: answered {counts}")
        return answer

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ControlLink.claim; a call for each run of claims that differ in their tokens alone.

        TooLarge asks for it again in smaller parts: the granted jobs do not fit into an answer.
        """
        answers: list[ClaimAnswer] = []
        for _, run in itertools.groupby(claims, _all_but_token):
            answers += await self._claim(list(run))
        return answers

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """See ControlLink.note."""
        request = _written(notes_to_proto, batch)
        reply = await self._call("Note", request, pb.NoteResponse)
        taken = self._read(note_answers_from_proto, reply)
        if len(taken) != len(batch.notes):
            counts = f"{len(taken)} answers to notes of {len(batch.notes)} jobs"
            raise Unavailable(f"{self._endpoint}: gave {counts}")
        return taken

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """See ControlLink.pokes; entered once the api listens, Unavailable when it is lost."""
        return self._pokes(incarnation)

    @asynccontextmanager
    async def _pokes(self, incarnation: str) -> AsyncIterator[AsyncIterator[None]]:
        stream = await self._in_time(
            self._over_the_edge, self._open_pokes, pb.PokesRequest(incarnation=incarnation)
        )
        try:
            yield _Pokes(self, stream)
        finally:
            with trio.CancelScope(shield=True):
                await aio_as_trio(_abandon)(stream)

    async def next_poke(self, stream: Stream[Any, pb.Poke]) -> bool:
        """Wait for a poke; False at the stream's end. For the iterator of `pokes` only."""
        return await self._over_the_edge(_next_poke, stream)

    async def _claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        request = _written(claims_to_proto, claims)
        reply = await self._call("Claim", request, pb.ClaimResponse)
        answers = self._read(claim_answers_from_proto, reply)
        if len(answers) != len(claims):
            counts = f"{len(answers)} answers to {len(claims)} claims"
            raise Unavailable(f"{self._endpoint}: gave {counts}")
        for claim, answer in zip(claims, answers, strict=True):
            if answer.job is not None and answer.job.id != claim.token.job_id:
                raise Unavailable(f"{self._endpoint}: granted another job than was claimed")
        return answers

    async def _call(self, name: str, request: bytes, reply: type[ReplyT]) -> ReplyT:
        return _parsed(reply, await self._in_time(self._ask, name, request), self._endpoint)

    async def _in_time(
        self, call: Callable[CallP, Awaitable[AnswerT]], *args: CallP.args, **kwargs: CallP.kwargs
    ) -> AnswerT:
        """Make a call; the wait for a free line counts too."""
        with trio.move_on_after(self._call_timeout_seconds):
            try:
                self._lines.acquire_nowait()
            except trio.WouldBlock:
                await self._lines.acquire()
            try:
                return await call(*args, **kwargs)
            finally:
                self._lines.release()
        limit = f"{self._call_timeout_seconds:g} s"
        raise Unavailable(f"{self._endpoint}: no answer within {limit}")

    async def _ask(self, name: str, request: bytes) -> bytes:
        while True:
            # Looked at again after the wait: another that waited may have filled the socket since.
            while (streams := self._channel.connected()) is None:
                await self._over_the_edge(self._channel.connect)
            try:
                return await self._channel.ask(streams, name, request)
            except Refused as error:
                message = f"{self._endpoint}: {error.message or error.status.name}"
                raise error_of(error.status.value, message, error.metadata) from error
            except TooManyStreamsError:
                await self._over_the_edge(streams.may_ask)
            except Exception as error:
                raise Unavailable(f"{self._endpoint}: {_reason(error)}") from error

    async def _over_the_edge(
        self, call: Callable[CallP, Awaitable[AnswerT]], *args: CallP.args, **kwargs: CallP.kwargs
    ) -> AnswerT:
        """Run an asyncio-flavoured call; its errors come out as errors of the core."""
        try:
            result: AnswerT = await aio_as_trio(call)(*args, **kwargs)
        except HermesError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            # A CancelledError that is not trio's is grpclib's own, or the loop's that is closing.
            raise Unavailable(f"{self._endpoint}: {_reason(error)}") from error
        return result

    async def _open_pokes(self, request: pb.PokesRequest) -> Stream[Any, pb.Poke]:
        stream = self._stub.Pokes.open()
        await stream.__aenter__()
        try:
            await stream.send_message(request, end=True)
            await stream.recv_initial_metadata()
        except BaseException as error:
            await _abandon(stream)
            if isinstance(error, GRPCError):
                self._raise_refusal(error, stream)
            raise
        return stream

    def _raise_refusal(self, error: GRPCError, stream: Stream[Any, Any]) -> Never:
        metadata = dict(stream.trailing_metadata or ())
        message = f"{self._endpoint}: {error.message or error.status.name}"
        raise error_of(error.status.value, message, metadata) from error

    def _read(self, read: Callable[[ReplyT], AnswerT], reply: ReplyT) -> AnswerT:
        try:
            return read(reply)
        except InvalidValue as error:
            raise Unavailable(f"{self._endpoint}: bad answer: {error.detail}") from error


class _Pokes:
    """One None for each poke; Unavailable when the stream is lost."""

    def __init__(self, link: GrpcLink, stream: Stream[Any, pb.Poke]) -> None:
        self._link = link
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> None:
        if not await self._link.next_poke(self._stream):
            raise StopAsyncIteration


async def _open_channel(host: str, port: int, ssl_context: ssl.SSLContext | None) -> ControlChannel:
    return ControlChannel(host, port, ssl=ssl_context, codec=StrictCodec(), config=KEEPALIVE)


async def _close_channel(channel: ControlChannel) -> None:
    channel.close()


async def _next_poke(stream: Stream[Any, pb.Poke]) -> bool:
    if await stream.recv_message() is not None:
        return True
    await stream.recv_trailing_metadata()  # raises the status, if it is one
    return False


async def _abandon(stream: Stream[Any, Any]) -> None:
    """Reset the stream; told of an error, grpclib does not wait for its end."""
    error = asyncio.CancelledError()
    await stream.__aexit__(type(error), error, None)


def _all_but_token(claim: Claim) -> tuple[str, str, str, int]:
    return claim.store_id, claim.worker_id, claim.incarnation, claim.heartbeat


def _written(write: Callable[[AskedT], Message], asked: AskedT) -> bytes:
    try:
        return write(asked).SerializeToString()
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"cannot be sent: {error}") from error


def _parsed(reply: type[ReplyT], message: bytes, endpoint: str) -> ReplyT:
    try:
        return reply.FromString(message)
    except DecodeError as error:
        name = reply.DESCRIPTOR.full_name
        raise Unavailable(f"{endpoint}: bad answer: not a {name}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
