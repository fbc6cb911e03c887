"""What running jobs tell, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hermesd.api.present import rfc3339
from hermesd.core.job import Job
from hermesd.core.notes import JobNotes, LogLine, NoteBatch, Progress
from hermesd.core.states import Move


def slug(answer: httpx.Response) -> tuple[int, str]:
    """Status and slug of a problem."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def tell(world: Any, job: Job, *texts: str, fraction: float | None = None) -> None:
    """As its worker would."""
    progress = None if fraction is None else Progress(fraction=fraction, note="so far", at=8.5)
    lines = tuple(LogLine(line=text, at=9.0 + place) for place, text in enumerate(texts))
    notes = JobNotes(token=job.token, progress=progress, lines=lines, dropped=len(texts) // 5)
    batch = NoteBatch(incarnation="i1", notes=(notes,))
    assert list(await world.agents.control.note(batch)) == [True]


async def test_a_job_shows_its_progress_until_it_runs_anew(world: Any) -> None:
    """Alone and in listings; what has told nothing has null."""
    silent, job_id = (await world.submit())["id"], (await world.submit())["id"]
    running = await world.run(job_id)
    await tell(world, running, fraction=0.25)
    shown = (await world.client.get(f"/jobs/{job_id}")).json()["job"]
    assert (shown["progress"], shown["progress_note"]) == (0.25, "so far")
    assert (shown["progress_at"], shown["logs_dropped"]) == (rfc3339(8.5), 0)
    listed = (await world.client.get("/jobs")).json()["jobs"]
    assert {job["id"]: job["progress"] for job in listed} == {silent: None, job_id: 0.25}
    await world.end(running, Move.FAIL)
    assert (await world.client.get(f"/jobs/{job_id}")).json()["job"]["progress"] == 0.25
    assert (await world.client.post(f"/jobs/{job_id}/retry")).status_code == 202
    assert (await world.client.get(f"/jobs/{job_id}")).json()["job"]["progress"] is None


async def test_a_log_comes_in_pages(world: Any) -> None:
    """Oldest first; the last page has no next one, and a later line follows it."""
    job_id = (await world.submit())["id"]
    running = await world.run(job_id)
    await tell(world, running, *(f"line {number}" for number in range(5)))
    seen: list[str] = []
    after = 0
    while after is not None:
        query = {"after": after, "limit": 2}
        page = (await world.client.get(f"/jobs/{job_id}/logs", params=query)).json()
        seen += [line["line"] for line in page["lines"]]
        last, after = page["lines"][-1], page["next_after"]
    assert seen == [f"line {number}" for number in range(5)]
    assert last == {
        "number": last["number"],
        "time": rfc3339(13.0),
        "run": 1,
        "attempt": 1,
        "level": "info",
        "line": "line 4",
    }
    assert page["dropped"] == 1
    query = {"after": last["number"]}
    answer = (await world.client.get(f"/jobs/{job_id}/logs", params=query)).json()
    assert answer == {"lines": [], "next_after": None, "dropped": 1}


async def test_the_log_of_a_job_that_is_not_there_is_not_found(world: Any) -> None:
    """As the job itself."""
    assert slug(await world.client.get("/jobs/none/logs")) == (404, "not-found")


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=501", "since=1"])
async def test_a_bad_query_is_refused(world: Any, query: str) -> None:
    """With what is wrong."""
    job_id = (await world.submit())["id"]
    assert slug(await world.client.get(f"/jobs/{job_id}/logs?{query}")) == (422, "invalid-value")


async def test_events_tell_progress_and_the_last_line_of_a_batch(world: Any) -> None:
    """With the type, run and attempt of the job."""
    job_id = (await world.submit())["id"]
    await tell(world, await world.run(job_id), "one", "two " * 100, fraction=1 / 3)
    found = (await world.client.get("/events", params={"job_id": job_id})).json()["events"]
    logged, progress = found[:2]
    assert (progress["kind"], progress["message"]) == ("progress", "33% so far")
    assert logged["kind"] == "logged"
    assert logged["message"] == ("two " * 50) + " (and 1 before)"
    assert (logged["job_type"], logged["run"], logged["attempt"]) == ("any", 1, 1)
