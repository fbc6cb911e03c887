"""The floor of the HTTP server: a trivial ASGI app on a given port, for a load generator.

    python -m tests.bench.http_floor 8080
    wrk -t2 -c32 -d5s http://127.0.0.1:8080/

It serves until SIGINT or SIGTERM.
"""

import signal
import sys

import structlog
import trio

from hermesd.http.asgi import Message, Receive, Scope, Send
from hermesd.http.limits import HttpLimits
from hermesd.http.server import open_listeners, serve

_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
_START: Message = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
_BODY: Message = {"type": "http.response.body", "body": b"ok"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer "ok"."""
    del scope
    await receive()
    await send(_START)
    await send(_BODY)


async def main(port: int) -> None:
    """Serve `app` on loopback."""
    stopping = trio.Event()
    listeners = await open_listeners("127.0.0.1", port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, listeners, stopping)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                stopping.set()
                break


async def _serve(listeners: list, stopping: trio.Event) -> None:  # type: ignore[type-arg]
    log = structlog.get_logger()
    await serve(app, listeners, HttpLimits, stopping=stopping, drain_seconds=lambda: 5.0, log=log)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
