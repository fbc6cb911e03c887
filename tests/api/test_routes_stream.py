"""GET /events/stream and /events/summary, driven as ASGI so that it can be read while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from hermesd.api.app import build_app
from hermesd.api.events import BACKLOG
from hermesd.api.routes.events import HEARTBEAT_SECONDS
from hermesd.api.summaries import KEPT, PACE_SECONDS, QUIET_SECONDS
from hermesd.api.summary import MOST_CHANGED, MOST_NOTABLE, RATE_SECONDS
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
async def reading(
    world: Any, last_id: str | None = None, target: str = "/events/stream"
) -> AsyncIterator[Reader]:
    """A stream under way."""
    reader = Reader()
    headers = [(b"host", b"api.test")]
    if last_id is not None:
        headers.append((b"last-event-id", last_id.encode()))
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
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


async def test_a_stream_shows_what_is_asked_for(world: Any, autojump_clock: Any) -> None:
    """Of one job or one kind; what is left out does not count as having been read too slowly."""
    ring = world.services.ring
    async with reading(world, target="/events/stream?job_id=j2&kind=failed") as reader:
        await reader.chunk()
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            for _ in range(BACKLOG // 2):
                ring.publish(EventKind.FAILED, job_id="j1")
            await trio.sleep(1)
        ring.publish(EventKind.QUEUED, job_id="j2")
        ring.publish(EventKind.FAILED, job_id="j2", message="no luck")
        [message] = (await reader.chunk()).strip().split("\n\n")
        assert f"id: {ring.last_seq}" in message
        assert "no luck" in message
    assert (await world.client.get("/events/stream?kind=nonsense")).status_code == 422


@asynccontextmanager
async def watching(world: Any, last_id: str | None = None) -> AsyncIterator[Reader]:
    """A stream of summaries; what makes them runs."""
    async with reading(world, last_id, "/events/summary") as reader:
        assert await reader.chunk() == "retry: 2000\n\n"
        yield reader


def messages(chunk: str) -> list[tuple[str, dict[str, Any]]]:
    """Id and data of each message of a chunk."""
    found = []
    for message in chunk.strip().split("\n\n"):
        event, number, data = message.split("\n")
        assert event == "event: summary"
        found.append((number.removeprefix("id: "), msgspec.json.decode(data[6:])))
    return found


@pytest.fixture
async def summed(world: Any) -> AsyncIterator[Any]:
    """An api whose summaries are made."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.agents.lookout.summaries.run)
        yield world
        nursery.cancel_scope.cancel()


async def test_a_summary_tells_what_goes_on(summed: Any, autojump_clock: Any) -> None:
    """At once, and then of what has happened since."""
    async with watching(summed) as reader:
        [(first_id, first)] = messages(await reader.chunk())
        assert first_id == f"boot-1-{first['number']}"
        assert (first["api"], first["boot"], first["rung"]) == ("api-1", "boot-1", "store")
        assert (first["events"], first["changed"], first["notable"]) == (0, [], [])
        job = await summed.submit(priority=8)
        summed.services.ring.publish(EventKind.REGISTERED, worker_id="w1")
        summed.services.ring.publish(EventKind.FAILED, job_id="j9", message="no luck")
        [(_, then)] = messages(await reader.chunk())
    assert then["number"] == first["number"] + 1
    assert then["seconds"] == pytest.approx(PACE_SECONDS)
    assert (then["jobs"]["queued"], then["waiting"]["total"], then["waiting"]["high"]) == (1, 1, 1)
    assert (then["events"], then["changed_left_out"]) == (3, 1)
    assert [each["job_id"] for each in then["changed"]] == ["j9", job["id"]]
    assert [each["kind"] for each in then["notable"]] == ["failed", "registered"]
    assert then["changes"]["fleet"] == first["changes"]["fleet"] + 1
    assert then["rates"]["submitted"] == pytest.approx(1 / PACE_SECONDS)
    assert then["workers"] == {"workers": 0, "slots": 0, "free": 0, "held": 0}


async def test_a_flood_is_a_few_summaries(summed: Any, autojump_clock: Any) -> None:
    """Two a second, each of a bounded size, with one entry a job and the rest counted."""
    ring = summed.services.ring
    async with watching(summed) as reader:
        await reader.chunk()
        begun = trio.current_time()
        for batch in range(20):
            for number in range(500):
                ring.publish(EventKind.DIRECT, job_id=f"j{batch}-{number // 2}")
                ring.publish(EventKind.FAILED, job_id=f"j{batch}-{number // 2}", message="x")
            await trio.sleep(0.1)
        found: list[dict[str, Any]] = []
        while sum(summary["events"] for summary in found) < 20_000:
            found += [summary for _, summary in messages(await reader.chunk())]
        assert len(found) <= (trio.current_time() - begun) / PACE_SECONDS + 1
    for summary in found[1:-1]:
        assert len(summary["changed"]) == MOST_CHANGED
        assert len({each["job_id"] for each in summary["changed"]}) == MOST_CHANGED
        assert summary["changed"][0]["kind"] == "failed"
        assert len(summary["notable"]) == MOST_NOTABLE
        assert summary["changed_left_out"] == summary["events"] - MOST_CHANGED
        assert len(msgspec.json.encode(summary)) < 32_000
    assert found[-1]["rates"]["started"] == pytest.approx(5000, rel=0.3)


async def test_rates_are_those_of_as_long_as_a_step_of_the_charts(
    summed: Any, autojump_clock: Any
) -> None:
    """So that a rate and the last step beside it tell nearly the same."""
    async with watching(summed) as reader:
        await reader.chunk()
        begun, rate = trio.current_time(), 0.0
        while trio.current_time() - begun < 2 * RATE_SECONDS:
            for _ in range(2):
                summed.services.ring.publish(EventKind.FAILED, job_id="j1", message="x")
            rate = messages(await reader.chunk())[-1][1]["rates"]["failed"]
        assert rate == pytest.approx(2 / PACE_SECONDS, rel=0.1)
        begun = trio.current_time()
        while rate:
            rate = messages(await reader.chunk())[-1][1]["rates"]["failed"]
    assert RATE_SECONDS <= trio.current_time() - begun <= RATE_SECONDS + 2 * QUIET_SECONDS


async def test_a_quiet_line_speaks_all_the_same(summed: Any, autojump_clock: Any) -> None:
    """So that a page can tell silence from a lost line."""
    async with watching(summed) as reader:
        await reader.chunk()
        before = trio.current_time()
        [(_, summary)] = messages(await reader.chunk())
    assert trio.current_time() - before == pytest.approx(QUIET_SECONDS)
    assert summary["seconds"] == pytest.approx(QUIET_SECONDS)


async def test_a_summary_is_made_once_for_all(summed: Any, autojump_clock: Any) -> None:
    """Whoever comes later is shown the last one at once; one that comes back, what it missed."""
    async with watching(summed) as first:
        [(kept_id, _)] = messages(await first.chunk())
        summed.services.ring.publish(EventKind.QUEUED, job_id="j1")
        [(last_id, _)] = told = messages(await first.chunk())
        async with watching(summed) as second, watching(summed, kept_id) as third:
            assert messages(await second.chunk()) == told
            assert messages(await third.chunk()) == told
        async with watching(summed, "boot-0-99") as stranger, watching(summed, last_id) as current:
            assert messages(await stranger.chunk()) == told
            [(_, fresh)] = messages(await current.chunk())
            assert fresh["number"] == told[0][1]["number"] + 1


async def test_who_reads_too_slowly_goes_on_with_what_is_left(
    summed: Any, autojump_clock: Any
) -> None:
    """Nothing piles up for it, and it is not thrown out."""
    async with watching(summed) as reader:
        [(_, first)] = messages(await reader.chunk())
        await trio.sleep((KEPT + 10) * QUIET_SECONDS)
        await reader.chunk()  # what it was about to be sent
        found = messages(await reader.chunk())
    assert len(found) == KEPT
    assert found[-1][1]["number"] >= first["number"] + KEPT + 9


async def test_nothing_is_made_while_nobody_watches(summed: Any, autojump_clock: Any) -> None:
    """And what was before is no news to the next one."""
    async with watching(summed) as reader:
        [(_, first)] = messages(await reader.chunk())
    summed.services.ring.publish(EventKind.FAILED, job_id="j1")
    await trio.sleep(60)
    async with watching(summed) as reader:
        [(_, then)] = messages(await reader.chunk())
    assert then["number"] <= first["number"] + 2
    assert (then["events"], then["notable"]) == (0, [])


async def test_summaries_end_with_the_api_and_have_their_limit(
    tight: Any, autojump_clock: Any
) -> None:
    """The same limit as all streams."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tight.agents.lookout.summaries.run)
        async with watching(tight) as reader:
            await reader.chunk()
            assert (await tight.client.get("/events/summary")).status_code == 503
            tight.services.summaries.close()
            assert await reader.chunk() == ""
            await reader.ended.wait()
        nursery.cancel_scope.cancel()
