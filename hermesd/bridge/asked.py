"""The client's end of unary calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import trio
from grpclib.const import Status
from grpclib.exceptions import StreamTerminatedError
from grpclib.metadata import decode_grpc_message
from h2.events import ResponseReceived, TrailersReceived
from h2.exceptions import NoAvailableStreamIDError

from hermesd.bridge.unary import Headers, UnaryStream, UnaryStreams

# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_BY_HTTP_STATUS: Final[Mapping[str, Status]] = {
    "400": Status.INTERNAL,
    "401": Status.UNAUTHENTICATED,
    "403": Status.PERMISSION_DENIED,
    "404": Status.UNIMPLEMENTED,
    "429": Status.UNAVAILABLE,
    "502": Status.UNAVAILABLE,
    "503": Status.UNAVAILABLE,
    "504": Status.UNAVAILABLE,
}


class Refused(Exception):
    """The call ended with a status that is not OK; the message may be empty."""

    def __init__(self, status: Status, message: str, metadata: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.metadata = metadata


class AskedCall(UnaryStream):
    """A call of the task that makes it."""

    def __init__(self, streams: UnaryStreams, stream_id: int) -> None:
        super().__init__(streams, stream_id)
        self._task = trio.lowlevel.current_task()
        self._waiting = False
        self._over = False
        self._message: bytes | None = None
        self._trailers_received: Mapping[str, str] | None = None
        self._error: Exception | None = None

    async def reply(self) -> bytes:
        """Wait for the reply's bytes; Refused, or StreamTerminatedError where the call was lost.

        Whoever is cancelled leaves the call; the peer may carry it through.
        """
        try:
            if not self._over:
                self._waiting = True
                await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            self.leave(reset=True)
        if self._error is not None:
            raise self._error
        _raise_for_status(self._trailers_received or {})
        if self._message is None:
            raise StreamTerminatedError(f"{self.lacking} of the answer is missing")
        return self._message

    def headers(self, headers: Mapping[str, str]) -> None:
        """The beginning of the answer, or all of it where it is a refusal."""
        http_status = headers.get(":status", "")
        content_type = headers.get("content-type", "")
        if http_status != "200":
            status = _BY_HTTP_STATUS.get(http_status, Status.UNKNOWN)
            self._fail(Refused(status, f"Received :status = {http_status!r}", headers))
        elif content_type.removesuffix("+proto") != "application/grpc":
            text = f"Invalid content-type: {content_type!r}"
            self._fail(Refused(Status.UNKNOWN, text, headers))
        elif "grpc-status" in headers:
            self._trailers_received = headers

    def trailers(self, headers: Mapping[str, str]) -> None:
        """The status."""
        self._trailers_received = headers

    def received(self, message: bytes) -> None:
        """The reply, which counts if the status is OK."""
        self._message = message

    def unreadable(self, status: Status, reason: str) -> None:
        """Be refused."""
        self._fail(Refused(status, reason, {}))

    def ended(self) -> None:
        """The answer is whole."""
        self._wake()

    def sent(self) -> None:
        """Wait for the answer."""

    def lost(self, reason: str) -> None:
        """There will be no answer; a status that came before tells more than the loss."""
        if self._trailers_received is None:
            self._error = StreamTerminatedError(reason)
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        self._over = True
        if self._waiting:
            self._waiting = False
            trio.lowlevel.reschedule(self._task)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._waiting = False
        return trio.lowlevel.Abort.SUCCEEDED


class AskedStreams(UnaryStreams):
    """The calls of one client connection."""

    def ask(self, headers: Headers, message: bytes) -> AskedCall:
        """Begin a call; TooManyStreamsError of h2 where the peer takes no more now.

        NoAvailableStreamIDError where the connection has carried all the calls that it can; the
        next one has to be made on another.
        """
        try:
            stream_id = self.http2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self.close("the connection has carried all the calls that it can")
            raise
        call = AskedCall(self, stream_id)
        try:
            call.send(headers, message)
        except BaseException:
            call.leave(reset=False)
            raise
        return call

    async def may_ask(self) -> None:
        """Wait until a call has ended; asyncio-flavoured."""
        self.connection.stream_close_waiter.clear()
        await self.connection.stream_close_waiter.wait()

    def process_response_received(self, event: ResponseReceived) -> None:
        """Tell the call."""
        call = self.calls.get(event.stream_id)
        if isinstance(call, AskedCall):
            call.headers(dict(cast(Headers, event.headers)))
        else:
            super().process_response_received(event)

    def process_trailers_received(self, event: TrailersReceived) -> None:
        """Tell the call."""
        call = self.calls.get(event.stream_id)
        if isinstance(call, AskedCall):
            call.trailers(dict(cast(Headers, event.headers)))
        else:
            super().process_trailers_received(event)


def _raise_for_status(trailers: Mapping[str, str]) -> None:
    number = trailers.get("grpc-status")
    if number == "0":
        return
    if number is None:
        raise Refused(Status.UNKNOWN, "Missing grpc-status header", {})
    try:
        status = Status(int(number))
    except ValueError:
        raise Refused(Status.UNKNOWN, f"Invalid grpc-status: {number!r}", {}) from None
    if status is not Status.OK:
        raise Refused(status, decode_grpc_message(trailers.get("grpc-message", "")), trailers)
