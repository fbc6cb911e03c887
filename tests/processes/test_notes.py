"""What running handlers tell of themselves: progress and log lines, through a real deployment."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import pytest

from processes.client import until
from processes.deployment import QUICK, Deployment

KINDS = ("teller", "teller.thread", "teller.process")


async def logs(deployment: Deployment, job_id: str, **query: int) -> dict[str, Any]:
    """A page of a job's log."""
    answer = await deployment.client.http.get(f"/jobs/{job_id}/logs", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_of_each_kind_tells_its_progress_and_logs(
    deployment: Deployment, kind: str
) -> None:
    """The last word of both is there when the job has ended, and updates came before it."""
    await deployment.both(PATIENT_NOTES="60")
    await deployment.client.routable("both")
    job_id = (await deployment.client.submit(kind, {"steps": 40, "lines": 3}))["job"]["id"]
    job = await deployment.client.ended(job_id)
    assert (job["state"], job["progress"], job["progress_note"]) == ("succeeded", 1.0, "step 40")
    assert job["logs_dropped"] == 0
    assert job["started_at"] < job["progress_at"] < job["finished_at"]
    page = await logs(deployment, job_id)
    assert [(line["line"], line["level"]) for line in page["lines"]] == [
        ("line 0", "info"),
        ("line 1", "info"),
        ("line 2", "info"),
        ("told all", "warning"),
    ]
    assert (page["next_after"], page["dropped"]) == (None, 0)
    found = await deployment.client.http.get("/events", params={"kind": "progress"})
    told = [event["message"] for event in found.json()["events"]]
    assert told[0] == "100% step 40"
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    # The first at once, at most two a second, and the last one.
    assert 2 <= len(told) <= 2 * (ended - began).total_seconds() + 2


@pytest.mark.parametrize("kind", KINDS)
async def test_lines_past_the_most_of_a_run_are_counted(deployment: Deployment, kind: str) -> None:
    """The first thousand are kept in order."""
    await deployment.both(PATIENT_NOTES="60")
    await deployment.client.routable("both")
    job_id = (await deployment.client.submit(kind, {"steps": 1, "lines": 3000}))["job"]["id"]
    job = await deployment.client.ended(job_id)
    assert (job["state"], job["logs_dropped"], job["progress"]) == ("succeeded", 2001, 1.0)
    lines: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await logs(deployment, job_id, after=after, limit=400)
        lines += [line["line"] for line in page["lines"]]
        after = page["next_after"]
    assert lines == [f"line {number}" for number in range(1000)]


async def test_what_a_worker_told_is_kept_when_it_is_killed(deployment: Deployment) -> None:
    """Another attempt begins without its progress, and its lines stay."""
    deployment.settings = QUICK
    await deployment.api()
    first = await deployment.worker("w1")
    await deployment.client.routable("w1")
    job_id = (await deployment.client.submit("teller", {"steps": 1200, "lines": 2}))["job"]["id"]

    async def is_told() -> bool:
        return bool((await deployment.client.job(job_id))["progress"])

    await until(is_told, "its progress")
    first.kill9()
    job = await until(partial(waits, deployment, job_id), "the job to wait")
    assert (job["progress"], job["progress_note"]) == (None, None)
    page = await logs(deployment, job_id)
    assert [line["line"] for line in page["lines"]] == ["line 0", "line 1"]
    assert (await deployment.client.http.delete(f"/jobs/{job_id}")).status_code == 200


async def waits(deployment: Deployment, job_id: str) -> dict[str, Any] | None:
    """The job, once it is queued."""
    job = await deployment.client.job(job_id)
    return job if job["state"] == "queued" else None
