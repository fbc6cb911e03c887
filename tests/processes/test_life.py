"""Daemons as processes of their own: they start in any order, work, and end as told."""

from __future__ import annotations

from processes.deployment import Deployment


async def test_one_daemon_in_both_roles_runs_a_job_and_exits_with_0(
    deployment: Deployment,
) -> None:
    """Submit over HTTP, run, read the result, SIGTERM."""
    daemon = await deployment.both()
    await deployment.client.routable("both")
    answer = await deployment.client.submit("note")
    job = await deployment.client.ended(answer["job"]["id"])
    assert (job["state"], job["result"]) == ("succeeded", "noted")
    daemon.sigterm()
    assert await daemon.wait() == 0
    deployment.history.check([job["id"]])


async def test_a_worker_that_starts_before_its_api_registers_when_there_is_one(
    deployment: Deployment,
) -> None:
    """The order of starts is no matter."""
    worker = await deployment.worker("w1")
    await worker.logged("waiting for the api")
    await deployment.api()
    await worker.logged("registered")
    await deployment.client.routable("w1")
    answer = await deployment.client.submit("note")
    assert (await deployment.client.ended(answer["job"]["id"]))["worker_id"] == "w1"


async def test_jobs_that_waited_for_a_worker_run_when_one_starts(deployment: Deployment) -> None:
    """They lie in the store meanwhile, also over a restart of the api."""
    first = await deployment.both()
    await deployment.client.routable("both")
    first.sigterm()
    assert await first.wait() == 0
    api = await deployment.api()
    ids = await deployment.client.submit_many("note", {}, 50)
    api.sigterm()
    assert await api.wait() == 0
    await deployment.api()
    await deployment.worker("w1")
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}


ENDINGS = [
    ("note.thread", {}, "succeeded", 1),
    ("note.process", {}, "succeeded", 1),
    ("fragile", {"failures": 2}, "succeeded", 3),
    ("fragile", {"failures": 9}, "failed", 5),
    ("drowsy", {}, "succeeded", 2),
    ("hopeless", {}, "failed", 1),
    ("bulky", {"bytes": 500_000}, "succeeded", 1),
]


async def test_jobs_end_as_their_handlers_say(deployment: Deployment) -> None:
    """Each way of ending, in each kind of execution."""
    await deployment.both()
    await deployment.client.routable("both")
    ids = [
        (await deployment.client.submit(job_type, payload))["job"]["id"]
        for job_type, payload, _, _ in ENDINGS
    ]
    for job_id, (job_type, payload, state, starts) in zip(ids, ENDINGS, strict=True):
        job = await deployment.client.ended(job_id)
        assert job["state"] == state, (job_type, payload, job)
        assert len(deployment.history.starts_of(job_id)) == starts
    deployment.history.check(ids)


async def test_a_handler_in_a_thread_hears_that_it_should_end(deployment: Deployment) -> None:
    """Because a cancel was asked for, and because its time is up."""
    await deployment.both()
    client = deployment.client
    await client.routable("both")
    wanted = (await client.submit("note.thread", {"seconds": 50.0}))["job"]["id"]
    await client.running(1)
    late = (await client.submit("note.thread", {"seconds": 50.0}, timeout=0.5, max_attempts=1))[
        "job"
    ]["id"]
    assert (await client.http.delete(f"/jobs/{wanted}")).status_code == 202
    assert (await client.ended(wanted))["state"] == "cancelled"
    assert (await client.ended(late))["error"]["kind"] == "timeout"
    deployment.history.check([wanted, late])


async def test_a_second_daemon_on_the_same_store_is_refused(deployment: Deployment) -> None:
    """With SQLite one api holds the file."""
    await deployment.api()
    ports = {"HERMES_API__PORT": "0", "HERMES_CONTROL__PORT": "0"}
    second = await deployment.start("second", "api", **ports)
    assert await second.wait() == 69
    assert "holds" in (await second.logged("cannot go on"))["why"]
