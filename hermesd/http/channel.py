"""One connection's reading and writing, with the deadlines and refusals that go with it."""

import trio

from hermesd.http.aside import Aside
from hermesd.http.errors import ClientGone
from hermesd.http.heads import KnownHeads
from hermesd.http.limits import HttpLimits
from hermesd.http.parser import Refusal, RequestParser
from hermesd.http.request import Request
from hermesd.http.transport import RECEIVE_BYTES, Transport
from hermesd.http.watch import NEVER, Watch

# What a body must bring to hold its connection: every so many bytes buy a second.
MIN_BODY_RATE = 32768
# A stalled response is judged by pieces of this size.
_PIECE_BYTES = 65536
# Between a refusal and the closing of the socket the client's bytes are read and dropped, so
# that a reset does not overtake the refusal (RFC 9112 9.6).
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16 * 1024 * 1024
# A drain lets the first request of a connection that was just made arrive: its client cannot know,
# and over the restart of a server whose socket is kept for it no connection is to be lost.
_FIRST_SECONDS = 1.0


class Channel:
    """Bytes in through the parser and out to the client.

    `scope` surrounds the work on the connection. `refuse` and `expire` cancel it, and what is
    then to be said to the client is in `refusal`. `left` says that the client's stream ended,
    `fresh` that no request has come yet, `idle` that no byte of a next one has, `idle_ended` that
    this was cut short, and `severed` that a message went out in part, after which nothing can
    follow. A request can be served `aside`, while the task waits in `next_request`.
    """

    __slots__ = (
        "_body_seconds",
        "_limits",
        "_watch",
        "aside",
        "draining",
        "fresh",
        "idle",
        "idle_ended",
        "left",
        "parser",
        "read_by",
        "refusal",
        "scope",
        "severed",
        "transport",
        "write_by",
    )

    def __init__(
        self, transport: Transport, limits: HttpLimits, watch: Watch, heads: KnownHeads
    ) -> None:
        self.transport = transport
        self.parser = RequestParser(limits, heads)
        self.scope = trio.CancelScope()
        self.refusal: Refusal | None = None
        self.read_by = NEVER
        self.write_by = NEVER
        self.draining = False
        self.fresh = True
        self.idle = False
        self.idle_ended = False
        self.left = False
        self.aside = Aside()
        self.severed = False
        self._limits = limits
        self._watch = watch
        self._body_seconds = limits.body_seconds

    async def handshake(self) -> None:
        """Open the transport within the time for headers."""
        self.read_by = self._watch.after(self._limits.header_seconds)
        await self.transport.handshake()
        self.read_by = NEVER

    async def next_request(self) -> Request | None:
        """The next request in order; None when there will be none (see `refusal`, `left`)."""
        parser = self.parser
        requests = parser.requests
        if self.aside.over:
            return None
        if not requests and parser.refusal is None:
            self.idle = not parser.head_begun
            if self.idle:
                if self.draining and not self.fresh:
                    return None
                self.read_by = self._watch.now + self._watch.idle_seconds
                if self.draining:
                    self._hurry()
            else:
                self.read_by = self._watch.after(self._limits.header_seconds)
            while True:
                data = await self.transport.receive()
                if self.aside.begun:
                    await self.aside.settled()
                parser.feed(data)
                if requests or parser.refusal is not None:
                    self.idle = False
                    break
                if not data:
                    self.left = True
                    break
                if self.idle and parser.head_begun:
                    self.idle = False
                    self.read_by = self._watch.after(self._limits.header_seconds)
            self.read_by = NEVER
            if self.scope.cancel_called:
                return None  # a request that came just now cannot be served in a cancelled scope
        if requests:
            self._body_seconds = self._limits.body_seconds
            self.fresh = False
            return requests.popleft()
        self.refusal = parser.refusal
        return None

    async def read_body(self, request: Request) -> None:
        """Wait until `request` has chunks or is complete, or the client `left`.

        A body that breaks a limit, or comes too slowly, ends the connection's scope: the app
        is cancelled and the client gets the refusal.
        """
        parser = self.parser
        while not request.chunks and not request.complete and not self.left:
            if parser.refusal is not None:
                await self.refuse(parser.refusal)
            began = self._watch.now
            self.read_by = self._watch.after(self._body_seconds)
            try:
                data = await self.transport.receive()
            finally:  # the app may give up waiting and go on
                self.read_by = NEVER
            # Time that the app takes between two reads is its own, not the client's.
            budget = self._body_seconds - (self._watch.now - began) + len(data) / MIN_BODY_RATE
            self._body_seconds = min(budget, self._limits.body_seconds)
            self.left = not data
            parser.feed(data)

    async def wait_until_left(self) -> None:
        """Return once the client has left; to be cancelled when nobody cares any more.

        The first bytes of a next request end the listening: they wait for their turn, and
        nothing more is read, so that what a client sends ahead stays bounded.
        """
        parser = self.parser
        if not self.left and not parser.requests and not parser.head_begun:
            try:
                data = await self.transport.receive()
            except ClientGone:
                data = b""
            self.left = not data
            parser.feed(data)
        if not self.left:
            await trio.sleep_forever()

    async def write(self, data: bytes) -> None:
        """Write `data`; ClientGone if the client is. No checkpoint if it fits at once."""
        sent = self.write_now(data)
        if sent < len(data):
            await self.write_rest(memoryview(data)[sent:])

    def write_now(self, data: bytes) -> int:
        """Write as much of `data` as fits and answer how many bytes that is; ClientGone."""
        if self.severed:
            raise ClientGone("an earlier write was given up half-way")
        try:
            return self.transport.write_now(data)
        except ClientGone:
            self.left = True
            raise

    async def write_rest(self, data: memoryview) -> None:
        """Write what did not fit at once; ClientGone."""
        self.severed = True  # until all is out: a cancelled write leaves half a message behind
        try:
            while data:
                self.write_by = self._watch.after(self._limits.write_seconds)
                await self.transport.write(data[:_PIECE_BYTES])
                data = data[_PIECE_BYTES:]
            self.severed = False
        except ClientGone:
            self.left = True
            raise
        finally:
            self.write_by = NEVER

    async def refuse(self, refusal: Refusal) -> None:
        """End the work on this connection with `refusal`; raises trio.Cancelled."""
        self.refusal = refusal
        self.scope.cancel()
        await trio.lowlevel.checkpoint()

    def expire(self) -> None:
        """See Watched: an idle connection just ends, a slow request is told why."""
        if self.write_by < self._watch.now:
            self.left = True
        elif self.idle:
            self.idle_ended = True
        else:
            part = "headers" if self.parser.receiving is None else "body"
            self.refusal = Refusal(408, f"the request's {part} took too long")
        self.read_by = self.write_by = NEVER
        self.scope.cancel()

    def drain(self) -> None:
        """Serve no request but the one under way; an idle connection ends at once.

        One that is fresh has a moment for its first request.
        """
        self.draining = True
        if self.idle and self.fresh:
            self._hurry()
        elif self.idle:
            self.idle_ended = True
            self.scope.cancel()

    def _hurry(self) -> None:
        self.read_by = min(self.read_by, self._watch.after(_FIRST_SECONDS))

    def reopen(self) -> bool:
        """Whether there is something to do after all; then `scope` is a new one.

        A request crossed the end of its idle connection, or an answer is not sent whole.
        """
        if self.aside.unsent:
            self.scope = trio.CancelScope()
            return True
        if not self.idle_ended:
            return False
        self.idle_ended = False
        self.parser.feed(self.transport.receive_now())
        self.scope = trio.CancelScope()
        return bool(self.parser.requests) or self.parser.head_begun

    @property
    def attentive(self) -> bool:
        """Whether the next bytes begin a request, which may then be served aside."""
        if self.draining or self.aside.awaited:
            return False
        return self.idle and not self.scope.cancel_called

    def rest(self) -> None:
        """The next byte is to be that of a next request."""
        self.idle = True
        self.read_by = self._watch.now + self._watch.idle_seconds

    async def catch_up(self) -> None:
        """Write what is left of an answer that was given aside."""
        unsent, self.aside.unsent = self.aside.unsent, memoryview(b"")
        await self.write_rest(unsent)

    async def linger(self) -> None:
        """Let the client read the last response before the socket is closed."""
        with trio.move_on_after(_LINGER_SECONDS):
            await self.transport.end_writing()
            for _ in range(_LINGER_BYTES // RECEIVE_BYTES):
                if not await self.transport.receive():
                    return
