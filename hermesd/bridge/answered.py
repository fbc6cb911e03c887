"""The server's end of unary calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, cast

from grpclib.const import Status
from grpclib.metadata import Deadline, encode_grpc_message
from grpclib.protocol import AbstractHandler, Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError as Http2ProtocolError

from hermesd.bridge.callbook import Attendance
from hermesd.bridge.unary import Headers, UnaryStream, UnaryStreams

_HEADERS: Final = [(":status", "200"), ("content-type", "application/grpc+proto")]
_DONE: Final = [("grpc-status", "0")]
_PROTO: Final = frozenset({"application/grpc", "application/grpc+", "application/grpc+proto"})


class AnsweredCall(UnaryStream):
    """A call of a peer, to be answered or refused once; after that, both do nothing.

    It attends `answering` until its answer is sent or its caller has left.
    """

    def __init__(
        self,
        streams: UnaryStreams,
        stream_id: int,
        begin: Callable[[AnsweredCall, bytes], None],
        answering: Attendance,
        deadline: Deadline | None,
    ) -> None:
        super().__init__(streams, stream_id)
        self._begin = begin
        self._answering = answering
        self._over = False
        self._status = Status.OK
        self._timer: asyncio.TimerHandle | None = None
        answering.enter()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_later(
                deadline.time_remaining(), self.refuse, Status.DEADLINE_EXCEEDED
            )

    def received(self, message: bytes) -> None:
        """Begin the call."""
        self._begin(self, message)

    def unreadable(self, status: Status, reason: str) -> None:
        """Refuse the call."""
        self.refuse(status, reason)

    def ended(self) -> None:
        """Refuse the call where its message is missing."""
        if self.lacking == "all":
            self.refuse(Status.INVALID_ARGUMENT, "the call carries no message")
        elif self.lacking == "a part":
            self.refuse(Status.INVALID_ARGUMENT, "the stream ended inside a message")

    def answer(self, reply: bytes) -> None:
        """Send the reply and the status OK."""
        if not self._over:
            self._send_last(_HEADERS, reply, _DONE)

    def refuse(
        self, status: Status, message: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Send a status that is not OK."""
        if self._over:
            return
        self._status = status
        headers: Headers = [*_HEADERS, ("grpc-status", str(status.value))]
        if message is not None:
            headers.append(("grpc-message", encode_grpc_message(message)))
        if metadata is not None:
            headers.extend(metadata.items())
        self._send_last(headers)

    def sent(self) -> None:
        """Nobody waits any more; who is refused need not send the rest of his message."""
        self._leave(reset=self._status is not Status.OK)

    def lost(self, reason: str) -> None:
        """Nobody waits any more; a call that was begun goes on."""
        self._leave(reset=False)

    def _send_last(
        self, headers: Headers, reply: bytes | None = None, trailers: Headers | None = None
    ) -> None:
        self._over = True
        try:
            self.send(headers, reply, trailers)
        except Http2ProtocolError as error:
            self.lost(str(error))

    def _leave(self, *, reset: bool) -> None:
        self._over = True
        self._answering.leave()
        if self._timer is not None:
            self._timer.cancel()
        self.leave(reset=reset)


class AnsweredStreams(UnaryStreams):
    """Takes the unary calls of the given paths; what is odd about their headers is left to grpclib.

    `begin` is called with each call and the bytes of its message.
    """

    def __init__(
        self,
        handler: AbstractHandler,
        connection: Connection,
        max_message_bytes: int,
        begin: Mapping[str, Callable[[AnsweredCall, bytes], None]],
        answering: Attendance,
    ) -> None:
        super().__init__(handler, connection, max_message_bytes)
        self._begin = begin
        self._answering = answering

    def process_request_received(self, event: RequestReceived) -> None:
        """Take the call."""
        received = cast(Headers, event.headers)
        headers = dict(received)
        begin = self._begin.get(headers.get(":path", ""))
        if (
            begin is None
            or headers.get(":method") != "POST"
            or headers.get("te") != "trailers"
            or headers.get("content-type") not in _PROTO
        ):
            super().process_request_received(event)
            return
        try:
            deadline = Deadline.from_headers(received) if "grpc-timeout" in headers else None
        except ValueError:
            super().process_request_received(event)
            return
        AnsweredCall(self, event.stream_id, begin, self._answering, deadline)
