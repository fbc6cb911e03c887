"""The depth limit: exact, however many submits come at once, and told to the client."""

from __future__ import annotations

import trio

from processes.deployment import Deployment


async def test_the_10001st_waiting_job_is_refused_with_retry_after(deployment: Deployment) -> None:
    """Nothing of a refused submit is stored."""
    await deployment.both()
    await deployment.client.routable("both")
    await deployment.client.submit("note")
    deployment.daemons[-1].sigterm()
    assert await deployment.daemons[-1].wait() == 0
    await deployment.api()
    ids = await deployment.client.submit_many("note", {}, 9_990)
    statuses: list[int] = []
    waits: set[str | None] = set()

    async def submit() -> None:
        answer = await deployment.client.http.post("/jobs", json={"type": "note"})
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            waits.add(answer.headers.get("retry-after"))

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(submit)
    assert sorted(statuses) == [202] * 10 + [429] * 30
    assert waits == {"2"}
    waiting = [row for row in deployment.history.jobs().values() if row.state == "queued"]
    assert len(waiting) == len(ids) + 10
