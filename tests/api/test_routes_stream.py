"""GET /events/stream, driven as ASGI so that it can be read while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from hermesd.api.app import build_app
from hermesd.api.events import BACKLOG
from hermesd.api.routes.events import HEARTBEAT_SECONDS
from hermesd.core.events import EventKind
from hermesd.http.errors import ClientGone


class Reader:
    """The client's side of one request: what was sent to it, and how it leaves."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = trio.Event()
        self.left = trio.Event()
        self.gone = False
        self._send, self._chunks = trio.open_memory_channel[bytes](0)

    async def receive(self) -> dict[str, Any]:
        """ASGI receive: nothing but the end."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """ASGI send, which waits until the reader takes the chunk."""
        if self.gone:
            raise ClientGone("left")
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {key.decode(): value.decode() for key, value in message["headers"]}
            return
        await self._send.send(message["body"])
        if not message.get("more_body", False):
            self.ended.set()

    async def chunk(self) -> str:
        """The next piece of the stream."""
        return (await self._chunks.receive()).decode()


@asynccontextmanager
async def reading(world: Any, last_id: str | None = None) -> AsyncIterator[Reader]:
    """A stream under way."""
    reader = Reader()
    headers = [(b"host", b"api.test")]
    if last_id is not None:
        headers.append((b"last-event-id", last_id.encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/events/stream",
        "raw_path": b"/events/stream",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build_app(world.services), scope, reader.receive, reader.send)
        yield reader
        nursery.cancel_scope.cancel()


async def test_events_are_streamed_with_their_numbers(world: Any, autojump_clock: Any) -> None:
    """One message an event, with an id to come back by."""
    async with reading(world) as reader:
        assert await reader.chunk() == "retry: 2000\n\n"
        assert (reader.status, reader.headers["content-type"]) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        world.services.ring.publish(EventKind.QUEUED, job_id="j1")
        number, data = (await reader.chunk()).splitlines()[:2]
        assert number.removeprefix("id: ").isdigit()
        assert '"job_id":"j1"' in data


async def test_a_returning_reader_misses_nothing_that_is_kept(
    world: Any, autojump_clock: Any
) -> None:
    """Last-Event-ID replays from there on."""
    world.services.ring.publish(EventKind.QUEUED, job_id="j1")
    world.services.ring.publish(EventKind.QUEUED, job_id="j2")
    async with reading(world, "0") as reader:
        await reader.chunk()
        both = await reader.chunk()
    assert both.index("j1") < both.index("j2")
    first_id = both.splitlines()[0].removeprefix("id: ")
    async with reading(world, first_id) as reader:
        await reader.chunk()
        rest = await reader.chunk()
    assert "j1" not in rest
    assert "j2" in rest


async def test_a_quiet_stream_has_a_heartbeat(world: Any, autojump_clock: Any) -> None:
    """A comment every 15 seconds keeps proxies from closing it."""
    async with reading(world) as reader:
        await reader.chunk()
        begun = trio.current_time()
        assert (await reader.chunk()).startswith(":")
        assert trio.current_time() - begun == pytest.approx(HEARTBEAT_SECONDS)


async def test_a_slow_reader_is_told_and_dropped(world: Any, autojump_clock: Any) -> None:
    """Past the backlog its last message is `lagged`, and the stream ends."""
    async with reading(world) as reader:
        await reader.chunk()
        await trio.testing.wait_all_tasks_blocked()
        world.services.ring.publish(EventKind.QUEUED, job_id="j1")
        await trio.testing.wait_all_tasks_blocked()  # the stream waits for the reader now
        for _ in range(BACKLOG + 1):
            world.services.ring.publish(EventKind.QUEUED, job_id="j2")
        assert "j1" in await reader.chunk()
        assert (await reader.chunk()).startswith("event: lagged\n")
        await reader.ended.wait()


async def test_a_stream_past_the_limit_is_refused(tight: Any, autojump_clock: Any) -> None:
    """503 with Retry-After; the place is free again when the first reader has left."""
    async with reading(tight) as first:
        await first.chunk()
        refused = await tight.client.get("/events/stream")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        first.left.set()
        await trio.testing.wait_all_tasks_blocked()
        async with reading(tight) as second:
            await second.chunk()
            assert second.status == 200


async def test_a_reader_that_is_gone_ends_the_stream(tight: Any, autojump_clock: Any) -> None:
    """A failed write is the end, without an error."""
    async with reading(tight) as first:
        await first.chunk()
        first.gone = True
        tight.services.ring.publish(EventKind.QUEUED, job_id="j1")
        await trio.testing.wait_all_tasks_blocked()
        async with reading(tight) as second:
            await second.chunk()
            assert second.status == 200


async def test_a_draining_api_ends_its_streams(world: Any, autojump_clock: Any) -> None:
    """No stream holds up the end of the api."""
    async with reading(world) as reader:
        await reader.chunk()
        world.services.ring.close()
        assert await reader.chunk() == ""
        await reader.ended.wait()
