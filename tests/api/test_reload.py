"""What the HTTP API accepts follows the configuration in effect, from one request to the next."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import trio

from hermesd.config import Config
from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.core.errors import Unavailable
from hermesd.core.events import EventKind

Body = dict[str, Any]
LONG: Body = {"payload": {"text": "x" * 100}}


def act_by(world: Any, text: str) -> None:
    """Reload a configuration that is this TOML text."""
    world.services.live.reconfigure(msgspec.convert(tomllib.loads(text), Config))


async def statuses(world: Any, *bodies: Body) -> list[int]:
    """What submits of these get, one after the other."""
    answers = [await world.client.post("/jobs", json={"type": "any", **body}) for body in bodies]
    return [answer.status_code for answer in answers]


# By key: the text that sets it, submits, and what they get before and after.
REFUSALS: list[tuple[str, str, list[Body], list[int], list[int]]] = [
    ("api.max_waiting_jobs", "[api]\nmax_waiting_jobs = 1", [{}], [202], [429]),
    ("api.max_scheduled_jobs", "[api]\nmax_scheduled_jobs = 1", [{"delay": 9}], [202], [429]),
    ("api.max_payload_bytes", "[api]\nmax_payload_bytes = 50", [LONG, {}], [202] * 2, [413, 202]),
    ("queues", "[queues.mail]", [{"queue": "mail"}], [422], [202]),
    ("queues", "[queues.default]\nmax_waiting = 1", [{}], [202], [429]),
    (
        "jobs.max_timeout_seconds",
        "[jobs]\nmax_timeout_seconds = 5.0\ntimeout_seconds = 5.0",
        [{"timeout": 9.0}, {"timeout": 4.0}],
        [202, 202],
        [422, 202],
    ),
    ("jobs.max_delay_seconds", "[jobs]\nmax_delay_seconds = 5.0", [{"delay": 9}], [202], [422]),
    (
        "jobs.max_labels",
        "[jobs]\nmax_labels = 1",
        [{"labels": {"a": "b"}}, {"labels": {"a": "b", "c": "d"}}],
        [202, 202],
        [202, 422],
    ),
    (
        "jobs.max_label_bytes",
        "[jobs]\nmax_label_bytes = 3",
        [{"labels": {"a": "bcd"}}, {"labels": {"a": "bcde"}}],
        [202, 202],
        [202, 422],
    ),
]


@pytest.mark.parametrize(
    ("text", "bodies", "before", "after"),
    [case[1:] for case in REFUSALS],
    ids=[case[0] for case in REFUSALS],
)
async def test_a_limit_holds_from_the_next_submit_on(
    world: Any, text: str, bodies: list[Body], before: list[int], after: list[int]
) -> None:
    """And no longer when it is taken back."""
    assert await statuses(world, *bodies) == before
    act_by(world, text)
    assert await statuses(world, *bodies) == after
    act_by(world, "")
    assert await statuses(world, *bodies) == before


async def test_the_size_of_a_batch(world: Any) -> None:
    """api.max_batch_items."""
    batch = {"jobs": [{"type": "any"}] * 3}
    for text, status in (("", 202), ("[api]\nmax_batch_items = 2", 413), ("", 202)):
        act_by(world, text)
        assert (await world.client.post("/jobs/batch", json=batch)).status_code == status


async def test_submits_that_wait_for_their_commit(world: Any) -> None:
    """api.max_pending_submits."""
    for text, refused in (("", False), ("[api]\nmax_pending_submits = 1", True), ("", False)):
        act_by(world, text)
        found: list[int] = []

        async def submit(found: list[int] = found) -> None:
            found += await statuses(world, {})

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(submit)
        assert (set(found) != {202}) is refused
        assert 202 in found


async def test_foreign_origins(world: Any) -> None:
    """api.allowed_origins."""
    headers = {"origin": "https://a.example"}
    allowed = '[api]\nallowed_origins = ["https://a.example"]'
    for text, status in (("", 403), (allowed, 202), ("", 403)):
        act_by(world, text)
        answer = await world.client.post("/jobs", json={"type": "any"}, headers=headers)
        assert answer.status_code == status


async def test_what_a_job_gets_where_nothing_is_said(world: Any) -> None:
    """jobs.max_attempts, timeout_seconds, crash_limit, backoff, and jobs.types before them."""
    first = await stored(world)
    act_by(
        world,
        "[jobs]\nmax_attempts = 7\ntimeout_seconds = 8.0\ncrash_limit = 9\n"
        '[jobs.backoff]\nkind = "fixed"\nseconds = 6.0',
    )
    second = await stored(world)
    assert (second.max_attempts, second.timeout, second.crash_limit) == (7, 8.0, 9)
    assert second.backoff == Backoff(kind=BackoffKind.FIXED, seconds=6.0)
    act_by(world, "[jobs.types.any]\nmax_attempts = 11\ntimeout = 12.0\npriority = 2")
    third = await stored(world)
    assert (third.max_attempts, third.timeout, third.priority) == (11, 12.0, 2)
    act_by(world, "[jobs]\nmax_attempts = 5000")
    assert await statuses(world, {"max_attempts": 4000}) == [202]
    act_by(world, "")
    assert await statuses(world, {"max_attempts": 4000}) == [422]
    last = await stored(world)
    assert (last.max_attempts, last.timeout, last.crash_limit, last.backoff) == (
        first.max_attempts,
        first.timeout,
        first.crash_limit,
        first.backoff,
    )


async def stored(world: Any) -> Any:
    """A new job as the store has it."""
    return await world.store.reader.get((await world.submit())["id"])


async def test_how_long_a_key_is_kept(world: Any, autojump_clock: trio.testing.MockClock) -> None:
    """jobs.idempotency_ttl_seconds, for keys that are used from then on."""
    act_by(world, "[jobs]\nidempotency_ttl_seconds = 5.0")
    body = {"idempotency_key": "k"}
    first = await world.submit(**body)
    assert await statuses(world, body) == [200]
    assert (await world.client.delete(f"/jobs/{first['id']}")).status_code in (200, 202)
    await trio.sleep(6)
    await world.store.jobs.purge(())
    assert await statuses(world, body) == [202]


@pytest.fixture
def follower(world: Any, nursery: trio.Nursery) -> Iterator[Callable[[str], Any]]:
    """Reload, when the agent that follows runs, and have it followed."""
    nursery.start_soon(world.agents.follower.run)

    async def follow(text: str) -> None:
        await trio.testing.wait_all_tasks_blocked()
        act_by(world, text)
        await trio.testing.wait_all_tasks_blocked()

    yield follow
    nursery.cancel_scope.cancel()


async def test_events_that_are_kept_and_their_readers(world: Any, follower: Any) -> None:
    """events.ring and events.max_streams."""
    ring = world.services.ring
    for number in range(50):
        ring.publish(EventKind.QUEUED, job_id=str(number))
    await follower("[events]\nring = 3\nmax_streams = 1")
    assert [event.job_id for event in ring.recent(100)] == ["49", "48", "47"]
    async with ring.subscribe():
        with pytest.raises(Unavailable, match="1 event streams"):
            async with ring.subscribe():
                pass
        await follower("[events]\nring = 5000\nmax_streams = 2")
        async with ring.subscribe():
            pass
    for number in range(5000):
        ring.publish(EventKind.QUEUED, job_id=str(number))
    assert len(ring.recent(10_000)) == 5000


async def test_schedules(world: Any, follower: Any) -> None:
    """They come, change and go; those that operators made stay."""
    created = await world.client.put("/schedules/mine", json={"type": "any", "cron": "@daily"})
    assert created.status_code in (200, 201)
    await follower('[schedules.theirs]\ntype = "any"\ncron = "@hourly"')
    assert await crons(world) == {"mine": "@daily", "theirs": "@hourly"}
    await follower('[schedules.theirs]\ntype = "any"\ncron = "@weekly"')
    assert await crons(world) == {"mine": "@daily", "theirs": "@weekly"}
    await follower("")
    assert await crons(world) == {"mine": "@daily"}


async def crons(world: Any) -> dict[str, str]:
    """All schedules."""
    return {each.name: each.definition.cron for each in await world.services.schedules.all()}


async def test_metrics_are_switched_off_and_on(world: Any) -> None:
    """metrics.enabled."""
    for text, status in (("[metrics]\nenabled = false", 404), ("", 200)):
        act_by(world, text)
        assert (await world.client.get("/metrics")).status_code == status
