"""Listing, reading, waiting for, cancelling and retrying jobs over HTTP."""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest
import trio

from hermesd.core.job import ErrorInfo
from hermesd.core.states import Move


def slug(answer: httpx.Response) -> tuple[int, str]:
    """Status and slug of a problem."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def ids(world: Any, query: str) -> set[str]:
    """The ids of a listing."""
    answer = await world.client.get(f"/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return {job["id"] for job in answer.json()["jobs"]}


async def test_the_listing_is_newest_first_and_pages_cover_it(
    world: Any, autojump_clock: Any
) -> None:
    """Cursors lead through all jobs, in order, and end with null."""
    created = set()
    for n in range(5):
        created.add((await world.submit(payload=n))["id"])
        await trio.sleep(0.002)  # ids are in order by the millisecond
    seen: list[str] = []
    query = "limit=2"
    while True:
        page = (await world.client.get(f"/jobs?{query}")).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        query = f"limit=2&cursor={page['next_cursor']}"
    assert seen == sorted(created, reverse=True)


@pytest.mark.parametrize("seed", range(5))
async def test_pages_cover_everything_once_while_jobs_are_added(world: Any, seed: int) -> None:
    """Whatever is inserted between pages, each job of before is listed exactly once."""
    chance = random.Random(seed)
    before = {(await world.submit(payload=n))["id"] for n in range(chance.randint(20, 60))}
    seen: list[str] = []
    cursor = ""
    while True:
        limit = chance.randint(1, 9)
        page = (await world.client.get(f"/jobs?limit={limit}{cursor}")).json()
        assert len(page["jobs"]) <= limit
        seen += [job["id"] for job in page["jobs"]]
        for _ in range(chance.randint(0, 4)):
            await world.submit(payload="later")
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


async def test_the_listing_can_be_filtered(world: Any) -> None:
    """By state, type, queue, id, label, worker and time of creation; several values are ored."""
    mail = await world.submit(type="email.send", payload={"to": "a@b.cd"}, labels={"t": "1"})
    plain = await world.submit(labels={"t": "2"})
    running = await world.run(plain["id"])
    both = {mail["id"], plain["id"]}
    assert await ids(world, "type=email.send") == {mail["id"]}
    assert await ids(world, "type=email.send,any") == both
    assert await ids(world, "type=email.send&type=any") == both
    assert await ids(world, "state=running") == {plain["id"]}
    assert await ids(world, "state=queued,running") == both
    assert await ids(world, "queue=default") == both
    assert await ids(world, "label=t:2") == {plain["id"]}
    assert await ids(world, f"id={mail['id']}") == {mail["id"]}
    assert await ids(world, f"worker={running.worker_id}") == {plain["id"]}
    assert await ids(world, "after=2000-01-01T00:00:00Z") == both
    assert await ids(world, "before=2000-01-01T00:00:00Z") == set()
    assert await ids(world, "queue=nothing") == set()


async def test_the_listing_can_be_filtered_by_how_it_ended(world: Any) -> None:
    """By priority, by times of the end, by text, and by kind and group of the error."""
    urgent = await world.submit(priority=10)
    lost = await world.submit()
    await world.fail(lost["id"], "crashed")
    low, high = {lost["id"]}, {urgent["id"]}
    assert await ids(world, "priority=10,7") == high
    assert await ids(world, "priority=3&priority=0") == low
    assert await ids(world, "finished_after=2000-01-01T00:00:00Z") == low
    assert await ids(world, "finished_before=2000-01-01T00:00:00Z") == set()
    assert await ids(world, "text=NO%20luck") == low
    assert await ids(world, f"text={urgent['id'][4:].upper()}") == high
    assert await ids(world, "text=message") == set()
    assert await ids(world, "error_kind=crashed&error=no%20luck") == low
    assert await ids(world, "error=luck") == set()
    assert await ids(world, "label=a=b") == set()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("priority=11", "priority"),
        ("text=", "text"),
        ("finished_after=now", "finished_after"),
        ("stat=queued", "state"),
        ("state=done", "scheduled"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=yesterday", "after"),
        ("after=2026-01-01T00:00:00", "after"),
        ("label=tenant", "label"),
        ("label=:x", "label"),
        ("cursor=!!", "cursor"),
        ("type=%ff", "query"),
    ],
)
async def test_a_query_that_is_wrong_is_told_what_is_right(
    world: Any, query: str, named: str
) -> None:
    """422 that names the parameter, and the known ones where it is unknown."""
    answer = await world.client.get(f"/jobs?{query}")
    assert slug(answer) == (422, "invalid-value")
    assert named in answer.json()["detail"]


async def test_the_attempts_of_a_job_are_told(world: Any, autojump_clock: Any) -> None:
    """Where and when each was, how it ended and why; the last one as it is now."""
    job = await world.submit()
    path = f"/jobs/{job['id']}/attempts"
    assert (await world.client.get(path)).json() == {"attempts": []}
    running = await world.run(job["id"])
    [now] = (await world.client.get(path)).json()["attempts"]
    assert (now["outcome"], now["worker_id"], now["rung"]) == ("running", "w1", "push")
    assert (now["run"], now["attempt"], now["ended_at"]) == (1, 1, None)
    await trio.sleep(2)
    error = ErrorInfo(kind="error", message="no luck", traceback="Traceback ...")
    again = world.services.clock.utc() + 60
    await world.end(running, Move.RETRY, run_at=again, error=error)
    await world.services.operator.retry(job["id"])
    await world.end(await world.run(job["id"]), Move.SUCCEED, result=b"1")
    first, second = (await world.client.get(path)).json()["attempts"]
    assert (first["outcome"], first["started_at"]) == ("retry", now["started_at"])
    assert first["error"]["traceback"] == "Traceback ..."
    assert first["started_at"] < first["ended_at"]
    assert (second["outcome"], second["attempt"], second["error"]) == ("succeeded", 2, None)
    assert first["ended_at"] <= second["started_at"] <= second["ended_at"]


async def test_an_attempt_that_was_cancelled_is_told_once(world: Any) -> None:
    """And what was cancelled while it waited is none."""
    waiting, job = await world.submit(), await world.submit()
    for each in (waiting, job):
        if each is job:
            running = await world.run(job["id"])
        await world.services.operator.cancel(each["id"])
    await world.end(running, Move.CANCEL)
    [only] = (await world.client.get(f"/jobs/{job['id']}/attempts")).json()["attempts"]
    assert (only["outcome"], only["error"]) == ("cancelled", None)
    assert (await world.client.get(f"/jobs/{waiting['id']}/attempts")).json()["attempts"] == []


async def test_an_unknown_job_is_not_found(world: Any) -> None:
    """404 for every thing that can be asked of a job."""
    for method, path in (
        ("GET", "/jobs/nope"),
        ("GET", "/jobs/nope?wait=1"),
        ("GET", "/jobs/nope/events"),
        ("GET", "/jobs/nope/attempts"),
        ("POST", "/jobs/nope/retry"),
        ("DELETE", "/jobs/nope"),
    ):
        assert slug(await world.client.request(method, path)) == (404, "not-found")


async def test_a_waiting_reader_gets_the_end_of_the_run(world: Any, autojump_clock: Any) -> None:
    """The answer comes when the run has ended, also where this api did not record it."""
    job = await world.submit()
    running = await world.run(job["id"])
    answers: list[httpx.Response] = []

    async def wait() -> None:
        answers.append(await world.client.get(f"/jobs/{job['id']}?wait=30"))

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(5)
        await world.end(running, Move.SUCCEED, result=b'{"n":1}')
    assert trio.current_time() - begun < 7
    [answer] = answers
    told = answer.json()["job"]
    assert (told["state"], told["result"]) == ("succeeded", {"n": 1})


async def test_a_waiting_reader_is_answered_at_the_limit(world: Any, autojump_clock: Any) -> None:
    """A run that goes on is shown as it is."""
    job = await world.submit()
    begun = trio.current_time()
    answer = await world.client.get(f"/jobs/{job['id']}?wait=3.5")
    assert answer.json()["job"]["state"] == "queued"
    assert 3.4 < trio.current_time() - begun < 4


@pytest.mark.parametrize("wait", ["61", "-1", "soon", "nan"])
async def test_a_wait_out_of_range_is_refused(world: Any, wait: str) -> None:
    """422 past a minute."""
    job = await world.submit()
    answer = await world.client.get(f"/jobs/{job['id']}?wait={wait}")
    assert slug(answer) == (422, "invalid-value")


async def test_the_history_is_told_in_order(world: Any) -> None:
    """What the timestamps tell and what was appended, oldest first."""
    job = await world.submit()
    await world.fail(job["id"])
    await world.client.post(f"/jobs/{job['id']}/retry")
    running = await world.run(job["id"])
    await world.end(running, Move.SUCCEED, result=b"1")
    answer = await world.client.get(f"/jobs/{job['id']}/events")
    told = answer.json()
    kinds = [event["kind"] for event in told["events"]]
    assert told["count"] == len(kinds)
    assert kinds[0] == "submitted"
    assert kinds[-1] == "succeeded"
    assert "requeued" in kinds
    assert kinds.count("succeeded") == 1
    times = [event["time"] for event in told["events"]]
    assert times == sorted(times)


async def test_a_waiting_job_is_cancelled_at_once(world: Any) -> None:
    """200 with the cancelled job, and an event."""
    job = await world.submit()
    answer = await world.client.delete(f"/jobs/{job['id']}")
    assert (answer.status_code, answer.json()["job"]["state"]) == (200, "cancelled")
    events = (await world.client.get(f"/events?job_id={job['id']}")).json()["events"]
    assert events[0]["kind"] == "cancelled"


async def test_a_running_job_is_asked_to_end(world: Any) -> None:
    """202, and the job shows that it was asked."""
    job = await world.submit()
    await world.run(job["id"])
    answer = await world.client.delete(f"/jobs/{job['id']}")
    assert answer.status_code == 202
    told = answer.json()["job"]
    assert (told["state"], told["cancel_requested"]) == ("running", True)


async def test_a_job_that_has_ended_cannot_be_cancelled(world: Any) -> None:
    """409."""
    job = await world.submit()
    await world.client.delete(f"/jobs/{job['id']}")
    assert slug(await world.client.delete(f"/jobs/{job['id']}"))[0] == 409


async def test_a_failed_job_gets_a_new_run(world: Any) -> None:
    """202, queued again as run 2 with its error gone."""
    job = await world.submit()
    await world.fail(job["id"])
    failed = (await world.client.get(f"/jobs/{job['id']}")).json()["job"]
    assert failed["error"] == {"kind": "error", "message": "no luck", "traceback": ""}
    answer = await world.client.post(f"/jobs/{job['id']}/retry")
    told = answer.json()["job"]
    assert answer.status_code == 202
    assert (told["state"], told["run"], told["error"]) == ("queued", 2, None)


async def test_a_scheduled_job_is_made_due(world: Any) -> None:
    """A retry that waits for its backoff is queued at once."""
    job = await world.submit()
    running = await world.run(job["id"])
    await world.end(running, Move.RETRY, run_at=world.services.clock.utc() + 3600)
    answer = await world.client.post(f"/jobs/{job['id']}/retry")
    assert (answer.status_code, answer.json()["job"]["state"]) == (202, "queued")


async def test_a_job_in_the_queue_cannot_be_retried(world: Any) -> None:
    """409 that names the state."""
    job = await world.submit()
    answer = await world.client.post(f"/jobs/{job['id']}/retry")
    assert slug(answer) == (409, "illegal-move")
    assert answer.json()["state"] == "queued"
