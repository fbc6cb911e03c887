"""One channel of a connection: calls, their answers, and what comes unasked.

aiormq's own channel is left aside. It frees its number before the broker has been told, closes
itself when a call is cancelled, and spends most of a message's time on tasks. Here nothing waits
but the caller: requests are sent at once, and the answers of a channel come in the order of its
requests (AMQP 0-9-1, section 2.2.3 with 4.7), so that a call that was given up on is passed over
when its answer comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.frame import marshal

from hermesd.bridge.amqp_errors import closed_by
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.bridge.amqp_read import Brought, Header
from hermesd.core.errors import HermesError, Unavailable

Basic = commands.Basic


@dataclass(slots=True)
class Content:
    """A method that brings a message, with the message."""

    method: Brought
    header: Header
    body: bytes

    @property
    def properties(self) -> commands.Basic.Properties:
        """Those of the message."""
        return self.header.properties


Answer = Frame | Content
Unasked = Content | commands.Basic.Ack | commands.Basic.Nack | commands.Basic.Cancel


class _Asked:
    """A request that was sent; `late` gets an answer that nobody waits for any more."""

    __slots__ = ("answer", "answered", "error", "index", "late", "unwanted")

    def __init__(self, index: int, late: Callable[[Answer], None] | None) -> None:
        self.index = index
        self.late = late
        self.unwanted = False
        self.answer: Answer | None = None
        self.error: HermesError | None = None
        self.answered = trio.Event()


class AmqpChannel:
    """An open channel; nothing waits for its opening, since whatever is sent comes after it.

    Raises Unavailable where the connection is lost. A channel that the broker closes is not opened
    again: `error` says why it is closed, None while it is open. Subclasses take what is unasked.
    """

    def __init__(self, link: AmqpLink) -> None:
        self.error: HermesError | None = None
        self._link = link
        self._asked: deque[_Asked] = deque()
        self._opening: Brought | None = None
        self._header: Header | None = None
        self._missing_bytes = 0
        self._parts: list[bytes] = []
        self.number = link.attach(self)
        self._ask(commands.Channel.Open())

    @property
    def where(self) -> str:
        """host:port of the broker."""
        return self._link.where

    @property
    def max_frame_bytes(self) -> int:
        """Of one frame, with its envelope."""
        return self._link.max_frame_bytes

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answers."""
        return len(self._asked)

    async def call(self, request: Frame, late: Callable[[Answer], None] | None = None) -> Answer:
        """Send a request and wait for its answer.

        Raises AccessRefused, ClosedByBroker or Unavailable where the channel ends instead. Where
        the caller is cancelled, `late` gets the answer when it comes.
        """
        asked = self._ask(request, late)
        try:
            await asked.answered.wait()
        except trio.Cancelled:
            asked.unwanted = True
            if asked.answer is not None and late is not None:
                late(asked.answer)
            raise
        if asked.error is not None:
            raise asked.error
        assert asked.answer is not None, "what was answered has an answer or an error"
        return asked.answer

    def send(self, payload: bytes) -> None:
        """Send whole frames of this channel that have no answer."""
        if self.error is not None:
            raise self.error
        self._link.send(payload)

    def send_frame(self, frame: Frame) -> None:
        """Send one method that has no answer."""
        self.send(marshal(frame, self.number))

    def flush(self) -> None:
        """Send what was put off; here nothing is."""

    def close(self, error: HermesError | None = None) -> None:
        """Close it, after all that was sent; the broker takes back what was not acknowledged."""
        if self.error is None:
            self.flush()
            self.send_frame(commands.Channel.Close(200, "", 0, 0))
            self.end(error or Unavailable(f"{self.where}: the channel is closed"))

    def end(self, error: HermesError) -> None:
        """Nothing comes any more; who waits for something gets `error`."""
        if self.error is not None:
            return
        self.error = error
        asked, self._asked = self._asked, deque()
        for each in asked:
            each.error = error
            each.answered.set()
        self._ended(error)

    def _arrived(self, unasked: Unasked) -> None:
        """Take what came unasked; here nothing is expected."""

    def _ended(self, error: HermesError) -> None:
        """Tell others than callers that the channel has ended."""

    def _ask(self, request: Frame, late: Callable[[Answer], None] | None = None) -> _Asked:
        self.send_frame(request)
        asked = _Asked(request.index, late)
        self._asked.append(asked)
        return asked

    # What aiormq's connection expects of a channel: `await channel.frames.put((weight, frame))`.

    @property
    def frames(self) -> AmqpChannel:
        """Where aiormq's connection puts what it receives."""
        return self

    async def put(self, received: tuple[int, object]) -> None:
        """Take a frame, as Frames has it."""
        frame = received[1]
        if isinstance(frame, ContentBody):
            self._take_part(frame.value)
        elif isinstance(frame, Header):
            self._header = frame
            self._missing_bytes = frame.body_size
            self._take_part(b"")
        elif isinstance(frame, Brought):
            self._opening = frame
        elif isinstance(frame, Basic.Ack | Basic.Nack | Basic.Cancel):
            if self.error is None:
                self._arrived(frame)
        elif isinstance(frame, commands.Channel.Close):
            self._closed(frame)
        elif isinstance(frame, Frame):
            self._answer(frame)

    def _take_part(self, part: bytes) -> None:
        self._missing_bytes -= len(part)
        self._parts.append(part)
        if self._missing_bytes > 0 or self._opening is None or self._header is None:
            return
        content = Content(self._opening, self._header, b"".join(self._parts))
        self._opening = self._header = None
        self._parts.clear()
        if content.method.by == Basic.GetOk.index:
            self._answer(content)
        elif self.error is None:
            self._arrived(content)

    def _answer(self, answer: Answer) -> None:
        if not self._asked:
            return  # it is closed, and this was under way; or Channel.CloseOk, which we await not
        asked = self._asked.popleft()
        if not asked.unwanted:
            asked.answer = answer
            asked.answered.set()
        elif asked.late is not None:
            asked.late(answer)

    def _closed(self, frame: commands.Channel.Close) -> None:
        # aiormq has freed the number just now, and the next to use it sends after this.
        self._link.send(marshal(commands.Channel.CloseOk(), self.number))
        if self.error is not None:
            return
        error = closed_by(self.where, frame)
        index = ((frame.class_id or 0) << 16) + (frame.method_id or 0)
        if self._asked and self._asked[0].index == index:
            culprit = self._asked.popleft()
            culprit.error = error
            culprit.answered.set()
        self.end(Unavailable(f"{self.where}: the broker closed the channel: {frame.reply_text}"))
