"""The calls of the Control service: from a gRPC stream into trio and back."""

# ruff: noqa: N802 - the methods are named as the .proto names them

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream
from structlog.typing import FilteringBoundLogger
from trio_asyncio import aio_as_trio, trio_as_aio

from hermesd.bridge.callbook import Attendance, CallBook
from hermesd.core.errors import Broken, HermesError, Unavailable
from hermesd.ports import ControlService
from hermesd.wire.claims import claim_answer_to_proto, claim_from_proto
from hermesd.wire.fields import short_text
from hermesd.wire.fleet import (
    deregistration_from_proto,
    heartbeat_answer_to_proto,
    heartbeat_from_proto,
    registration_answer_to_proto,
    registration_from_proto,
    workers_to_proto,
)
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.gen.hermes.v1.control_grpc import ControlBase
from hermesd.wire.outcomes import report_answer_to_proto, report_from_proto
from hermesd.wire.status import status_of

MAX_CALLS: Final = 4_096
MAX_STREAMS: Final = 4_096

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")
AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")


class ControlCalls(ControlBase):
    """Control for any client. A call that was begun is carried through even if its caller leaves.

    So the service never sees half a Report, and repeats of a call must be harmless (they are, by
    the contract in proto/README.md). Pokes, which has no effects, ends with its caller.
    """

    def __init__(self, service: ControlService, log: FilteringBoundLogger) -> None:
        self._service = service
        self._log = log
        self._answering = Attendance()
        self._calls = CallBook(MAX_CALLS)
        self._streams = CallBook(MAX_STREAMS)

    async def close(self) -> None:
        """Cancel the calls that are still under way; trio-flavoured."""
        await self._calls.close()

    async def drain(self) -> None:
        """End the poke streams, refuse new calls, wait for answers to be sent; trio-flavoured."""
        self._calls.refuse()
        await self._streams.close()
        await self._answering.empty()

    async def Register(self, stream: Stream[pb.RegisterRequest, pb.RegisterResponse]) -> None:
        """See ControlService.register."""
        await self._answer(
            stream, registration_from_proto, self._service.register, registration_answer_to_proto
        )

    async def Heartbeat(self, stream: Stream[pb.HeartbeatRequest, pb.HeartbeatResponse]) -> None:
        """See ControlService.heartbeat."""
        await self._answer(
            stream, heartbeat_from_proto, self._service.heartbeat, heartbeat_answer_to_proto
        )

    async def Deregister(self, stream: Stream[pb.DeregisterRequest, pb.DeregisterResponse]) -> None:
        """See ControlService.deregister."""
        await self._answer(
            stream,
            deregistration_from_proto,
            self._service.deregister,
            lambda _: pb.DeregisterResponse(),
        )

    async def Report(self, stream: Stream[pb.ReportRequest, pb.ReportResponse]) -> None:
        """See ControlService.report."""
        await self._answer(stream, report_from_proto, self._service.report, report_answer_to_proto)

    async def Claim(self, stream: Stream[pb.ClaimRequest, pb.ClaimResponse]) -> None:
        """See ControlService.claim."""
        await self._answer(stream, claim_from_proto, self._service.claim, claim_answer_to_proto)

    async def ListWorkers(
        self, stream: Stream[pb.ListWorkersRequest, pb.ListWorkersResponse]
    ) -> None:
        """See ControlService.workers."""
        await self._answer(
            stream, lambda _: None, lambda _: self._service.workers(), workers_to_proto
        )

    async def Pokes(self, stream: Stream[pb.PokesRequest, pb.Poke]) -> None:
        """See ControlService.pokes; the headers are sent once the service's context is entered."""
        request = await _receive(stream)
        try:
            incarnation = short_text(request.incarnation, "incarnation")
            await trio_as_aio(self._carry_out)(self._streams, self._forward, (stream, incarnation))
        except HermesError as error:
            await self._refuse(stream, error)

    async def _answer(
        self,
        stream: Stream[RequestT, ReplyT],
        read: Callable[[RequestT], AskedT],
        call: Callable[[AskedT], Awaitable[AnswerT]],
        write: Callable[[AnswerT], ReplyT],
    ) -> None:
        with self._answering:
            request = await _receive(stream)
            try:
                begun = trio_as_aio(self._carry_out)(self._calls, call, (read(request),))
                begun.add_done_callback(_retrieve)
                reply = write(await asyncio.shield(begun))
            except HermesError as error:
                await self._refuse(stream, error)
            else:
                await stream.send_message(reply)

    async def _carry_out(
        self, book: CallBook, call: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> Any:
        """Run a call of the service in trio; here any error that is not ours is logged."""
        try:
            return await book.run(call, *args)
        except HermesError:
            raise
        except Exception as error:
            self._log.error("control_call_failed", call=call.__name__, exc_info=error)
            raise Broken("internal error; the api's log tells more") from error

    async def _forward(self, stream: Stream[pb.PokesRequest, pb.Poke], incarnation: str) -> None:
        send_headers = aio_as_trio(stream.send_initial_metadata)
        send = aio_as_trio(stream.send_message)
        async with self._service.pokes(incarnation) as items:
            await send_headers()
            async for _ in items:
                await send(pb.Poke())

    async def _refuse(self, stream: Stream[Any, Any], error: HermesError) -> None:
        if not isinstance(error, Unavailable | Broken):
            self._log.info("control_call_refused", error=error.slug, reason=error.detail[:200])
        code, message, metadata = status_of(error)
        await stream.send_trailing_metadata(
            status=Status(code), status_message=message, metadata=dict(metadata)
        )


async def _receive(stream: Stream[RequestT, Any]) -> RequestT:
    try:
        request = await stream.recv_message()
    except NotImplementedError:  # grpclib's word for the compressed flag
        text = "compressed messages are not supported"
        raise GRPCError(Status.UNIMPLEMENTED, text) from None
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call carries no message")
    return request


def _retrieve(done: asyncio.Future[Any]) -> None:
    """Take note of the error of a call whose caller has left, or asyncio complains of it."""
    if not done.cancelled():
        done.exception()
