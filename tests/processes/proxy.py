"""A TCP proxy between two parts of a deployment, whose faults a test switches on and off."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from processes.ports import free_port

CHUNK_BYTES = 65536


class Gate:
    """Lets bytes pass, or keeps them back until it is opened again."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    def shut(self) -> None:
        """Keep back what comes from now on."""
        self._open = trio.Event()

    def open(self) -> None:
        """Let pass what was kept back, and what comes."""
        self._open.set()

    async def passage(self) -> None:
        """Return when bytes may pass."""
        await self._open.wait()


class Proxy:
    """Carries connections from `port` to `target`, both on this machine."""

    def __init__(self, nursery: trio.Nursery, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.requests = Gate()
        self.answers = Gate()
        self.requests_seen = 0  # chunks that came from the side that dials
        self._nursery = nursery
        self._listening: trio.CancelScope | None = None
        self._carried: set[trio.CancelScope] = set()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Take connections (again)."""
        await self._nursery.start(self._listen)

    def black_hole(self) -> None:
        """Take everything and pass nothing on, as a cut cable or a dropping firewall does."""
        self.requests.shut()
        self.answers.shut()

    def heal(self) -> None:
        """Pass on what was kept back."""
        self.requests.open()
        self.answers.open()

    def refuse(self) -> None:
        """Take no connection and end those there are."""
        if self._listening is not None:
            self._listening.cancel()
        self.cut()

    def cut(self) -> None:
        """End all connections there are; what was kept back is lost."""
        for scope in tuple(self._carried):
            scope.cancel()

    async def _listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        [listener] = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        with trio.CancelScope() as self._listening:
            async with listener:
                task_status.started()
                while True:
                    stream = await listener.accept()
                    self._nursery.start_soon(self._carry, stream)

    async def _carry(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, suppress(OSError, trio.BrokenResourceError):
            self._carried.add(scope)
            try:
                async with near, trio.open_nursery() as nursery:
                    await self.requests.passage()
                    far = await trio.open_tcp_stream("127.0.0.1", self.target)
                    async with far:
                        nursery.start_soon(self._pump, near, far, self.requests, True)
                        await self._pump(far, near, self.answers, False)
            except* (OSError, trio.BrokenResourceError):
                pass
            finally:
                self._carried.discard(scope)

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, gate: Gate, asks: bool
    ) -> None:
        async for chunk in source:
            await gate.passage()
            await sink.send_all(chunk)
            self.requests_seen += asks
        await gate.passage()
        with suppress(OSError, trio.BrokenResourceError):
            sink.socket.shutdown(socket.SHUT_WR)


@asynccontextmanager
async def open_proxy(target: int) -> AsyncIterator[Proxy]:
    """A proxy that listens."""
    async with trio.open_nursery() as nursery:
        proxy = Proxy(nursery, target)
        await proxy.listen()
        yield proxy
        nursery.cancel_scope.cancel()
