"""The trace that a client names goes through whatever its job goes through."""

from __future__ import annotations

from processes.deployment import Deployment
from processes.rungs import came_through, owned, serves

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEADERS = {"traceparent": PARENT, "tracestate": "vendor=value"}


async def test_a_trace_goes_through_the_broker(ladder: Deployment) -> None:
    """With a job alone and with each of a batch."""
    await ladder.api()
    await serves(ladder, "amqp")
    http, item = ladder.client.http, {"type": "traced"}
    one = await http.post("/jobs", json=item, headers=HEADERS)
    batch = await http.post("/jobs/batch", json={"jobs": [item] * 3}, headers=HEADERS)
    ids = [one.json()["job"]["id"], *(job["id"] for job in batch.json()["jobs"])]
    await owned(ladder, ids)
    await ladder.worker("w1")
    await came_through(ladder, ids)
    results = [(await ladder.client.job(job_id))["result"] for job_id in ids]
    assert results == [[PARENT, "vendor=value"]] * 4


async def test_a_header_that_is_no_trace_is_ignored(deployment: Deployment) -> None:
    """The job runs all the same, without one."""
    await deployment.both()
    for headers in ({}, {"traceparent": "00-nonsense"}, {"tracestate": "vendor=value"}):
        answer = await deployment.client.http.post(
            "/jobs", json={"type": "traced"}, headers=headers
        )
        assert answer.status_code == 202, answer.text
        job = await deployment.client.ended(answer.json()["job"]["id"])
        assert job["result"] == ["", ""]
