"""Peers in front of a broker, or in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio


@asynccontextmanager
async def serving(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A port where `handler` speaks with each who connects."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def paused_relay(target: int) -> AsyncIterator[tuple[int, trio.Event]]:
    """A way to the node that swallows everything once the event is set."""
    paused = trio.Event()

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if not paused.is_set():
                    await sink.send_all(data)

    async def relay(client: trio.SocketStream) -> None:
        node = await trio.open_tcp_stream("127.0.0.1", target)
        async with node, trio.open_nursery() as nursery:
            nursery.start_soon(pump, client, node)
            nursery.start_soon(pump, node, client)

    async with serving(relay) as port:
        yield port, paused
