"""Requests that are taken as they come and answered by a call, while their connection sleeps on.

A task that is woken for a request, and again for its answer, costs each a turn of the scheduler,
and an ASGI app a dozen coroutines. What is all of one request, of a head that was seen before and
that the app wants so (http/prompt.py), goes by here: with 32 connections that takes two of 2.7
steps of tasks from a submit, and a fifth of the api's processor time (measured).
"""

from structlog.typing import FilteringBoundLogger

from hermesd.http.asgi import Headers
from hermesd.http.channel import Channel
from hermesd.http.errors import ClientGone
from hermesd.http.prompt import Take
from hermesd.http.responses import ResponseWriter, problem
from hermesd.http.transport import RECEIVE_BYTES
from hermesd.http.watch import NEVER


class Attendant:
    """Sees to the requests of one connection, in whichever task is told of their bytes."""

    __slots__ = ("_channel", "_log", "_writer")

    def __init__(self, channel: Channel, writer: ResponseWriter, log: FilteringBoundLogger) -> None:
        self._channel = channel
        self._writer = writer
        self._log = log

    def attend(self) -> bool:
        """Serve the request that has come; False where the connection's task is to look at it."""
        channel = self._channel
        if not channel.attentive:
            return False
        data = channel.transport.receive_now()
        # More than one read is more than one request, or a large one.
        known = channel.parser.recall(data) if len(data) < RECEIVE_BYTES else None
        if known is not None and known[0].take is not None and self._take(known[0].take, known[1]):
            return True
        channel.transport.put_back(data)
        return False

    def _take(self, take: Take, body: bytes) -> bool:
        channel = self._channel
        read_by, channel.read_by = channel.read_by, NEVER
        channel.idle, channel.aside.begun = False, True
        try:
            taken = take(body, self._reply)
        except Exception as error:
            self._fail(error)
            return True
        if not taken:
            channel.read_by = read_by
            channel.idle, channel.aside.begun = True, False
        return taken

    def _reply(self, status: int, headers: Headers, body: bytes) -> None:
        """See Reply."""
        if not self._channel.aside.begun:
            self._log.error("http app replied twice", status=status)
            return
        try:
            data = self._writer.whole(status, headers, body, close=self._channel.draining)
        except Exception as error:
            self._fail(error)
        else:
            self._send(data)

    def _fail(self, error: Exception) -> None:
        """Answer so, unless an answer was given before the fault."""
        self._log.error("http app failed", exc_info=error)
        if self._channel.aside.begun:
            answer = problem(500, "the request could not be served")
            self._send(self._writer.whole(500, *answer, close=self._channel.draining))

    def _send(self, data: bytes) -> None:
        """The end of what was served; where there is more to do the task is cut off for it."""
        channel, aside = self._channel, self._channel.aside
        channel.fresh = False
        aside.over = channel.draining
        try:
            aside.unsent = memoryview(data)[channel.write_now(data) :]
        except ClientGone:
            aside.over = True
        if aside.over or aside.unsent:
            channel.scope.cancel()
        else:
            channel.rest()
        aside.settle()
