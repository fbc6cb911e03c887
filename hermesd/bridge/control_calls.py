"""The calls of the Control service: from a gRPC stream into trio and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import AbstractHandler, Connection
from grpclib.server import Stream
from structlog.typing import FilteringBoundLogger
from trio_asyncio import aio_as_trio, trio_as_aio

from hermesd.bridge.answered import AnsweredCall, AnsweredDialogue, AnsweredStreams, Take
from hermesd.bridge.callbook import Attendance, CallBook
from hermesd.bridge.calls import CONTROL_PATH
from hermesd.bridge.loop import start_soon
from hermesd.core.errors import Broken, HermesError, InvalidValue, Unavailable
from hermesd.ports import ControlService
from hermesd.wire.claims import claim_answers_to_proto, claims_from_proto
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
from hermesd.wire.notes import note_answers_to_proto, notes_from_proto
from hermesd.wire.outcomes import report_answer_to_proto, report_from_proto
from hermesd.wire.status import status_of

MAX_CALLS: Final = 4_096
MAX_STREAMS: Final = 4_096


class Method(NamedTuple):
    """A unary call: how its request is read, carried out, and its answer written."""

    request: type[Message]
    reply: type[Message]
    read: Callable[[Any], Any]
    call: Callable[[Any], Awaitable[Any]]
    write: Callable[[Any], Message]


class ControlCalls:
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
        self._methods = _methods_of(service)
        self._dialogues = {"Reports": self._methods["Report"]}
        self._takes: Mapping[str, Take] = {
            CONTROL_PATH + name: partial(kind, begin=partial(self._begin, name, method))
            for kind, methods in (
                (AnsweredCall, self._methods),
                (AnsweredDialogue, self._dialogues),
            )
            for name, method in methods.items()
        }

    def __mapping__(self) -> Mapping[str, Handler]:
        """The service as grpclib knows it; see `streams` for who serves all but Pokes."""
        ours = {
            CONTROL_PATH + name: Handler(_never_called, cardinality, method.request, method.reply)
            for cardinality, methods in (
                (Cardinality.UNARY_UNARY, self._methods),
                (Cardinality.STREAM_STREAM, self._dialogues),
            )
            for name, method in methods.items()
        }
        pokes = Handler(self.pokes, Cardinality.UNARY_STREAM, pb.PokesRequest, pb.Poke)
        return {**ours, CONTROL_PATH + "Pokes": pokes}

    def streams(
        self, max_message_bytes: int, handler: AbstractHandler, connection: Connection
    ) -> AnsweredStreams:
        """What serves the unary calls and the dialogues of a connection."""
        return AnsweredStreams(handler, connection, max_message_bytes, self._takes, self._answering)

    async def close(self) -> None:
        """Cancel the calls that are still under way; trio-flavoured."""
        await self._calls.close()

    async def drain(self) -> None:
        """End the poke streams, refuse new calls, wait for answers to be sent; trio-flavoured."""
        self._calls.refuse()
        await self._streams.close()
        await self._answering.empty()

    async def pokes(self, stream: Stream[pb.PokesRequest, pb.Poke]) -> None:
        """See ControlService.pokes; the headers are sent once the service's context is entered."""
        try:
            request = await stream.recv_message()
        except NotImplementedError:  # grpclib's word for the compressed flag
            text = "compressed messages are not supported"
            raise GRPCError(Status.UNIMPLEMENTED, text) from None
        if request is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "the call carries no message")
        try:
            incarnation = short_text(request.incarnation, "incarnation")
            await trio_as_aio(self._carry_out_pokes)(stream, incarnation)
        except HermesError as error:
            code, message, metadata = self._refusal(error)
            await stream.send_trailing_metadata(
                status=code, status_message=message, metadata=metadata
            )

    def _begin(self, name: str, method: Method, call: AnsweredCall, message: bytes) -> None:
        start_soon(self._carry_out, name, method, call, message)

    async def _carry_out(
        self, name: str, method: Method, call: AnsweredCall, message: bytes | None
    ) -> None:
        while message is not None:
            await self._answer(name, method, call, message)
            message = await call.next_message()

    async def _answer(self, name: str, method: Method, call: AnsweredCall, message: bytes) -> None:
        """Run a call of the service in trio; here any error that is not ours is logged."""
        try:
            asked = method.read(_decoded(method.request, message))
            answer = await self._calls.run(method.call, asked)
            call.answer(method.write(answer).SerializeToString())
        except HermesError as error:
            call.refuse(*self._refusal(error))
        except Exception as error:
            call.refuse(*self._refusal(self._defect(name, error)))

    async def _carry_out_pokes(
        self, stream: Stream[pb.PokesRequest, pb.Poke], incarnation: str
    ) -> None:
        try:
            await self._streams.run(self._forward, stream, incarnation)
        except HermesError:
            raise
        except Exception as error:
            raise self._defect("Pokes", error) from error

    async def _forward(self, stream: Stream[pb.PokesRequest, pb.Poke], incarnation: str) -> None:
        send_headers = aio_as_trio(stream.send_initial_metadata)
        send = aio_as_trio(stream.send_message)
        async with self._service.pokes(incarnation) as items:
            await send_headers()
            async for _ in items:
                await send(pb.Poke())

    def _defect(self, name: str, error: Exception) -> Broken:
        self._log.error("control_call_failed", call=name, exc_info=error)
        return Broken("internal error; the api's log tells more")

    def _refusal(self, error: HermesError) -> tuple[Status, str, Mapping[str, str]]:
        if not isinstance(error, Unavailable | Broken):
            self._log.info("control_call_refused", error=error.slug, reason=error.detail[:200])
        code, message, metadata = status_of(error)
        return Status(code), message, metadata


def _methods_of(service: ControlService) -> Mapping[str, Method]:
    return {
        "Register": Method(
            pb.RegisterRequest,
            pb.RegisterResponse,
            registration_from_proto,
            service.register,
            registration_answer_to_proto,
        ),
        "Heartbeat": Method(
            pb.HeartbeatRequest,
            pb.HeartbeatResponse,
            heartbeat_from_proto,
            service.heartbeat,
            heartbeat_answer_to_proto,
        ),
        "Deregister": Method(
            pb.DeregisterRequest,
            pb.DeregisterResponse,
            deregistration_from_proto,
            service.deregister,
            lambda _: pb.DeregisterResponse(),
        ),
        "ListWorkers": Method(
            pb.ListWorkersRequest,
            pb.ListWorkersResponse,
            lambda _: None,
            lambda _: service.workers(),
            workers_to_proto,
        ),
        "Report": Method(
            pb.ReportRequest,
            pb.ReportResponse,
            report_from_proto,
            service.report,
            report_answer_to_proto,
        ),
        "Claim": Method(
            pb.ClaimRequest,
            pb.ClaimResponse,
            claims_from_proto,
            service.claim,
            claim_answers_to_proto,
        ),
        "Note": Method(
            pb.NoteRequest,
            pb.NoteResponse,
            notes_from_proto,
            service.note,
            note_answers_to_proto,
        ),
    }


def _decoded(request: type[Message], message: bytes) -> Message:
    try:
        return request.FromString(message)
    except DecodeError:
        raise InvalidValue(f"not a {request.DESCRIPTOR.full_name}") from None


async def _never_called(stream: Stream[Any, Any]) -> None:
    """For grpclib's refusals of odd headers; what is not refused never comes to grpclib."""
    raise GRPCError(Status.INTERNAL, "internal error")
