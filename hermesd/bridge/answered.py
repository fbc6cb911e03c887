"""The server's end of unary calls and dialogues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, cast

import trio
from grpclib.const import Status
from grpclib.metadata import Deadline, encode_grpc_message
from grpclib.protocol import AbstractHandler, Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError as Http2ProtocolError

from hermesd.bridge.callbook import Attendance
from hermesd.bridge.calls import CallStream, CallStreams, Headers

_HEADERS: Final = [(":status", "200"), ("content-type", "application/grpc+proto")]
_DONE: Final = [("grpc-status", "0")]
_PROTO: Final = frozenset({"application/grpc", "application/grpc+", "application/grpc+proto"})


class AnsweredCall(CallStream):
    """A call of a peer, to be answered or refused once; after that, both do nothing.

    It attends `answering` until its answer is sent or its caller has left.
    """

    def __init__(
        self,
        streams: CallStreams,
        stream_id: int,
        answering: Attendance,
        deadline: Deadline | None,
        *,
        begin: Callable[[AnsweredCall, bytes], None],
    ) -> None:
        super().__init__(streams, stream_id)
        self._begin = begin
        self._answering = answering
        self._over = False
        self._status = Status.OK
        self._timer: asyncio.TimerHandle | None = None
        self._attends = False
        self._attend()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_later(
                deadline.time_remaining(), self.refuse, Status.DEADLINE_EXCEEDED
            )

    async def next_message(self) -> bytes | None:
        """Wait for the message after an answer; None: there will be none."""
        return None

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
        headers: Headers = [*self._opening(), ("grpc-status", str(status.value))]
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

    def _opening(self) -> Headers:
        return _HEADERS

    def _send_last(
        self, headers: Headers, reply: bytes | None = None, trailers: Headers | None = None
    ) -> None:
        self._over = True
        try:
            self.send(headers, reply, trailers)
        except Http2ProtocolError as error:
            self.lost(str(error))

    def _attend(self) -> None:
        if not self._attends:
            self._attends = True
            self._answering.enter()

    def _attend_no_more(self) -> None:
        if self._attends:
            self._attends = False
            self._answering.leave()

    def _leave(self, *, reset: bool) -> None:
        self._over = True
        self._attend_no_more()
        if self._timer is not None:
            self._timer.cancel()
        self.leave(reset=reset)


class AnsweredDialogue(AnsweredCall):
    """Many calls of a peer on one stream: `begin` is called with the first of its messages.

    The next message may come once the answer to the last one is sent. It attends `answering` but
    for the time between an answer and the next message.
    """

    _begun = False
    _asked = False
    _spoken = False
    _peer_ended = False
    _message: bytes | None = None
    _waiting: trio.lowlevel.Task | None = None

    async def next_message(self) -> bytes | None:
        """See AnsweredCall.next_message; one task waits for all the messages of a dialogue."""
        if self._message is None and not self._over:
            self._waiting = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        message, self._message = self._message, None
        return message

    def received(self, message: bytes) -> None:
        """Begin, or go on with, the dialogue."""
        self._asked = True
        self._attend()
        if self._begun:
            self._message = message
            self._wake()
        else:
            self._begun = True
            super().received(message)

    def surplus(self) -> None:
        """Refuse to go on: what waits here must be bounded."""
        self.refuse(Status.INVALID_ARGUMENT, "a message came before the answer to the last one")

    def ended(self) -> None:
        """The peer asks nothing more; what it has asked is answered."""
        self._peer_ended = True
        if self.lacking == "a part":
            self.refuse(Status.INVALID_ARGUMENT, "the stream ended inside a message")
        elif not self._asked:
            self._finish()

    def answer(self, reply: bytes) -> None:
        """Send the reply, and wait for the next message."""
        if self._over:
            return
        headers, self._spoken = None if self._spoken else _HEADERS, True
        try:
            self.send(headers, reply, ends=False)
        except Http2ProtocolError as error:
            self.lost(str(error))

    def refuse(
        self, status: Status, message: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        """End the dialogue with a status that is not OK, or inside an answer without one."""
        if self.sending:
            self._leave(reset=True)
        else:
            super().refuse(status, message, metadata)

    def sent(self) -> None:
        """The peer may ask again, unless this was the end."""
        if self._over:
            super().sent()
            return
        self._asked = False
        self._attend_no_more()
        if self._peer_ended:
            self._finish()
        else:
            self.expect()

    def _leave(self, *, reset: bool) -> None:
        super()._leave(reset=reset)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            trio.lowlevel.reschedule(self._waiting)
            self._waiting = None

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._waiting = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _finish(self) -> None:
        if not self._over:
            self._send_last([*self._opening(), *_DONE])

    def _opening(self) -> Headers:
        return [] if self._spoken else _HEADERS


# How a call of some path is taken: streams, stream id, attendance, deadline.
Take = Callable[[CallStreams, int, Attendance, Deadline | None], AnsweredCall]


class AnsweredStreams(CallStreams):
    """Takes the calls of the given paths; what is odd about their headers is left to grpclib."""

    def __init__(
        self,
        handler: AbstractHandler,
        connection: Connection,
        max_message_bytes: int,
        takes: Mapping[str, Take],
        answering: Attendance,
    ) -> None:
        super().__init__(handler, connection, max_message_bytes)
        self._takes = takes
        self._answering = answering

    def process_request_received(self, event: RequestReceived) -> None:
        """Take the call."""
        received = cast(Headers, event.headers)
        headers = dict(received)
        take = self._takes.get(headers.get(":path", ""))
        if (
            take is None
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
        take(self, event.stream_id, self._answering, deadline)
