"""The client's end of unary calls and dialogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import trio
from grpclib.const import Status
from grpclib.exceptions import StreamTerminatedError
from grpclib.metadata import decode_grpc_message
from h2.events import ResponseReceived, TrailersReceived
from h2.exceptions import NoAvailableStreamIDError

from hermesd.bridge.calls import CallStream, CallStreams, Headers

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


class AskedCall(CallStream):
    """A call of the task that makes it."""

    def __init__(self, streams: CallStreams, stream_id: int) -> None:
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
        self._raise_reason()
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
        elif "grpc-status" in headers:  # grpclib refuses unknown calls without a content-type
            self._trailers_received = headers
        elif content_type.removesuffix("+proto") != "application/grpc":
            text = f"Invalid content-type: {content_type!r}"
            self._fail(Refused(Status.UNKNOWN, text, headers))

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

    def _raise_reason(self) -> None:
        if self._error is not None:
            raise self._error
        _raise_for_status(self._trailers_received or {})

    def _wake(self) -> None:
        self._over = True
        self._reschedule()

    def _reschedule(self) -> None:
        if self._waiting:
            self._waiting = False
            trio.lowlevel.reschedule(self._task)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._waiting = False
        return trio.lowlevel.Abort.SUCCEEDED


class AskedDialogue(AskedCall):
    """Many calls on one stream that stays open, each made when the one before is answered.

    It is `over` when the peer has ended it, or a call was refused, lost or left.
    """

    def __init__(self, streams: CallStreams, stream_id: int, headers: Headers) -> None:
        super().__init__(streams, stream_id)
        self._opening: Headers | None = headers
        self.asking = False

    @property
    def over(self) -> bool:
        """Whether it takes no further call."""
        return self._over

    async def ask(self, message: bytes) -> bytes:
        """Make a call, as `AskedStreams.ask` and `AskedCall.reply` do together."""
        self._task, self.asking = trio.lowlevel.current_task(), True
        headers, self._opening = self._opening, None
        try:
            self.send(headers, message, ends=False)
            self.expect()
            self._waiting = True
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        except BaseException:
            self._end()
            raise
        finally:
            self.asking = False
        answer, self._message = self._message, None
        if answer is not None:
            return answer
        self._raise_reason()
        raise StreamTerminatedError("the peer has ended the stream")

    def received(self, message: bytes) -> None:
        """The reply; the stream stays open."""
        super().received(message)
        self._reschedule()

    def surplus(self) -> None:
        """There is no answer without a question: nothing that comes here can be believed."""
        self._fail(StreamTerminatedError("an answer without a question"))

    def _wake(self) -> None:
        self._end()
        super()._wake()

    def _end(self) -> None:
        self._over = True
        self.leave(reset=True)


class AskedStreams(CallStreams):
    """The calls of one client connection."""

    _dialogue: AskedDialogue | None = None

    def dialogue(self, headers: Headers) -> AskedDialogue | None:
        """The connection's dialogue, which begins with these headers; None while another asks.

        NoAvailableStreamIDError as in `ask`.
        """
        dialogue = self._dialogue
        if dialogue is None or dialogue.over:
            dialogue = self._dialogue = AskedDialogue(self, self._next_stream_id(), headers)
        return None if dialogue.asking else dialogue

    def ask(self, headers: Headers, message: bytes) -> AskedCall:
        """Begin a call; TooManyStreamsError of h2 where the peer takes no more now.

        NoAvailableStreamIDError where the connection has carried all the calls that it can; the
        next one has to be made on another.
        """
        call = AskedCall(self, self._next_stream_id())
        try:
            call.send(headers, message)
        except BaseException:
            call.leave(reset=False)
            raise
        return call

    def _next_stream_id(self) -> int:
        try:
            return self.http2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self.close("the connection has carried all the calls that it can")
            raise

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
