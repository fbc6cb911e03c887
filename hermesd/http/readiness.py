"""Which of a server's sockets have something to read, told by one epoll of its own.

trio arms a socket anew for every wait. Here a socket is registered once and for all,
edge-triggered, and only this epoll is armed, once for all sockets that became readable together:
at 32 busy connections that saves each request a system call and a tenth of its CPU time (measured
with tests/bench/http_floor.py).

Of the tasks that wait, one waits for the epoll and wakes those whose sockets it tells of; the
others are parked. When it leaves, it hands this duty on. So a lone connection pays for no second
task between its socket and itself.
"""

import select
from collections.abc import Callable

import trio

_MAX_EVENTS = 256


class Readiness:
    """The epoll, and the sockets in it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, Readable] = {}
        self.parked: dict[Readable, trio.lowlevel.Task] = {}
        self.watched = False

    def register(self, descriptor: int) -> "Readable":
        """Watch a socket; `unregister` it before it is closed."""
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        readable = self._sockets[descriptor] = Readable(self)
        return readable

    def unregister(self, descriptor: int) -> None:
        """Forget a socket."""
        del self._sockets[descriptor]
        self._epoll.unregister(descriptor)

    async def watch_for(self, readable: "Readable") -> None:
        """Wake whoever's socket became readable until `readable` is; nobody else must do so."""
        self.watched = True
        try:
            while not (readable.ready or readable.roused):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, flags in self._epoll.poll(0, _MAX_EVENTS):
                    self._sockets[descriptor].announce(flags)
        finally:
            self.watched = False
            if self.parked:
                _, heir = self.parked.popitem()
                trio.lowlevel.reschedule(heir)

    def close(self) -> None:
        """Close the epoll, not the sockets."""
        self._epoll.close()


class Readable:
    """One socket, for one reading task; `ready` unless a read would surely find nothing.

    `attend`, where there is one, is called when bytes have come, in any task. It must not raise,
    and answers whether it has seen to them, so that nobody need be woken. With `roused` a wait
    ends though there be nothing to read.
    """

    __slots__ = ("_awaited", "_ended", "_readiness", "attend", "ready", "roused")

    def __init__(self, readiness: Readiness) -> None:
        self.ready = False
        self.roused = False
        self.attend: Callable[[], bool] | None = None
        self._ended = False
        self._awaited = False
        self._readiness = readiness

    async def wait(self) -> None:
        """Return when there is something to read, be it the end; always a checkpoint."""
        if self.ready or self.roused:
            await trio.lowlevel.checkpoint()
            return
        if self._awaited:
            raise trio.BusyResourceError("another task is already reading from this socket")
        self._awaited = True
        readiness = self._readiness
        try:
            while not (self.ready or self.roused):
                if readiness.watched:
                    readiness.parked[self] = trio.lowlevel.current_task()
                    await trio.lowlevel.wait_task_rescheduled(self._unpark)
                else:
                    await readiness.watch_for(self)
        finally:
            self._awaited = False

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        del self._readiness.parked[self]
        return trio.lowlevel.Abort.SUCCEEDED

    def announce(self, flags: int) -> None:
        """Take an event of epoll's."""
        self.ready = True
        if flags & ~select.EPOLLIN:
            self._ended = True
        elif self.attend is not None and self.attend():
            return
        task = self._readiness.parked.pop(self, None)
        if task is not None:
            trio.lowlevel.reschedule(task)

    def took_all(self) -> None:
        """A read got less than it asked for, so further bytes will be announced (epoll(7))."""
        # The end is announced only once, and may have been so together with the last bytes.
        self.ready = self._ended

    def took_nothing(self) -> None:
        """A read would have had to wait."""
        self.ready = self._ended = False
