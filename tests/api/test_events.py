"""The ring of recent events: order, replay, and readers that are too slow."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from hermesd.api.events import BACKLOG, EventRing, Lagged, RingClosed
from hermesd.clock import TrioClock
from hermesd.core.errors import Unavailable
from hermesd.core.events import EventKind
from hermesd.core.job import Job

JOB = Job(id="j1", type="email.send", payload=msgspec.Raw(b"{}"), worker_id="w1", run=2, attempts=3)


@pytest.fixture
async def ring() -> EventRing:
    """A ring of five events for two streams."""
    return EventRing(5, TrioClock(), 2)


def publish(ring: EventRing, *job_ids: str) -> None:
    """One event for each job."""
    for job_id in job_ids:
        ring.publish(EventKind.QUEUED, job_id=job_id)


async def test_an_event_says_what_its_job_says(ring: EventRing) -> None:
    """Run, attempt, type and worker are taken from the job."""
    ring.publish(EventKind.SUCCEEDED, job=JOB, message="fine")
    [event] = ring.recent(10)
    assert (event.job_id, event.job_type, event.kind) == ("j1", "email.send", "succeeded")
    assert (event.worker_id, event.run, event.attempt, event.message) == ("w1", 2, 3, "fine")


async def test_the_same_is_told_of_several_jobs(ring: EventRing) -> None:
    """One event and one number each, in their order."""
    other = msgspec.structs.replace(JOB, id="j2", worker_id=None)
    async with ring.subscribe() as events:
        ring.publish_all(EventKind.QUEUED, [JOB, other], "no slot")
        first, second = await events.batch()
    assert [(e.event.job_id, e.event.worker_id) for e in (first, second)] == [
        ("j1", "w1"),
        ("j2", None),
    ]
    assert first.event.message == second.event.message == "no slot"
    assert second.seq == first.seq + 1
    assert ring.totals() == {"queued": 2}


async def test_what_a_job_tells_often_pushes_nothing_out(ring: EventRing) -> None:
    """Of its progress the last word counts, unless that is what is asked for."""
    publish(ring, "a")
    for step in range(50):
        for job_id in "bc":
            ring.publish(EventKind.PROGRESS, job_id=job_id, message=str(step))
    told = [(event.job_id, event.kind, event.message) for event in ring.recent(10)]
    assert told == [("c", "progress", "49"), ("b", "progress", "49"), ("a", "queued", "")]
    assert [event.message for event in ring.recent(3, "progress", "b")] == ["49", "48"]


async def test_the_recent_ones_are_the_last_newest_first(ring: EventRing) -> None:
    """No more than the size of the ring, no more than asked for."""
    publish(ring, *"abcdefg")
    assert [event.job_id for event in ring.recent(10)] == list("gfedc")
    assert [event.job_id for event in ring.recent(2)] == list("gf")


async def test_the_recent_ones_can_be_filtered(ring: EventRing) -> None:
    """By kind and by job."""
    publish(ring, "a", "b")
    ring.publish(EventKind.FAILED, job_id="a")
    assert [event.kind for event in ring.recent(9, job_id="a")] == ["failed", "queued"]
    assert [event.job_id for event in ring.recent(9, kind="queued")] == ["b", "a"]


async def test_totals_count_every_event(ring: EventRing) -> None:
    """Also those that the ring no longer has."""
    publish(ring, *"abcdefg")
    assert ring.totals() == {"queued": 7}


async def test_a_subscriber_sees_what_comes_after_it_in_order(ring: EventRing) -> None:
    """Numbers rise by one and nothing of before is told."""
    publish(ring, "before")
    async with ring.subscribe() as events:
        publish(ring, "a", "b")
        first, second = await events.batch()
        assert (first.event.job_id, second.event.job_id) == ("a", "b")
        assert second.seq == first.seq + 1


async def test_a_waiting_subscriber_is_woken(ring: EventRing, autojump_clock: object) -> None:
    """An event ends the wait of every subscriber."""
    seen: list[str] = []

    async def follow(task_status: trio.TaskStatus[None]) -> None:
        async with ring.subscribe() as events:
            task_status.started()
            async for numbered in events:
                seen.append(numbered.event.job_id)
                return

    async with trio.open_nursery() as nursery:
        await nursery.start(follow)
        await nursery.start(follow)
        await trio.testing.wait_all_tasks_blocked()
        publish(ring, "a")
    assert seen == ["a", "a"]


async def test_a_returning_subscriber_gets_what_is_kept(ring: EventRing) -> None:
    """From its last number on as far as the ring reaches back."""
    publish(ring, *"abcdefgh")
    async with ring.subscribe(0) as events:
        all_kept = await events.batch()
    assert [each.event.job_id for each in all_kept] == list("defgh")
    async with ring.subscribe(all_kept[2].seq) as events:
        assert [each.event.job_id for each in await events.batch()] == list("gh")


async def test_numbers_of_an_earlier_life_lie_before_all_events(ring: EventRing) -> None:
    """After a restart a returning reader gets the whole ring, and never skips."""
    publish(ring, "a")
    async with ring.subscribe(0) as events:
        [old] = await events.batch()
    await trio.sleep(0.001)
    restarted = EventRing(5, TrioClock(1_800_000_100.0), 2)
    publish(restarted, "b")
    async with restarted.subscribe(old.seq) as events:
        assert [each.event.job_id for each in await events.batch()] == ["b"]


async def test_a_ring_that_has_grown_gives_a_returning_subscriber_what_there_is(
    ring: EventRing,
) -> None:
    """What was dropped before it grew is not asked of it."""
    publish(ring, *["x"] * (BACKLOG + 10))
    ring.resize(2 * BACKLOG, 2)
    async with ring.subscribe(0) as events:
        assert len(await events.batch()) == BACKLOG
        publish(ring, "y")
        assert [each.event.job_id for each in await events.batch()] == ["y"]


async def test_a_number_from_the_future_waits_for_news(ring: EventRing) -> None:
    """A number that was never given out means: from now on."""
    publish(ring, "a")
    async with ring.subscribe(10**18) as events:
        publish(ring, "b")
        assert [each.event.job_id for each in await events.batch()] == ["b"]


async def test_a_slow_subscriber_is_told_that_it_lagged(ring: EventRing) -> None:
    """Past the shared backlog the events in between are gone, and that is said."""
    async with ring.subscribe() as events:
        publish(ring, *["x"] * BACKLOG)
        assert len(await events.batch()) == BACKLOG
        publish(ring, *["x"] * (BACKLOG + 1))
        with pytest.raises(Lagged):
            await events.batch()


async def test_streams_are_limited_and_given_back(ring: EventRing) -> None:
    """One past the limit is refused; a place is free again when a stream ends."""
    async with ring.subscribe():
        async with ring.subscribe():
            with pytest.raises(Unavailable):
                async with ring.subscribe():
                    pass
        async with ring.subscribe():
            pass


async def test_a_closed_ring_ends_its_streams_after_the_last_event(ring: EventRing) -> None:
    """What is there is still given out."""
    async with ring.subscribe() as events:
        publish(ring, "a")
        ring.close()
        assert [each.event.job_id for each in await events.batch()] == ["a"]
        with pytest.raises(RingClosed):
            await events.batch()
