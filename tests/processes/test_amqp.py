"""Jobs that no slot is free for wait in RabbitMQ, and workers pull them from there."""

from __future__ import annotations

from functools import partial

from processes.broker import BANDS, Broker
from processes.client import until
from processes.deployment import Deployment
from processes.reloaded import ConfigFile, reload
from processes.rungs import came_through, owned, owners, serves, started

ONE_SLOT = {"HERMES_WORKER__ASYNC_SLOTS": "1"}
CLAIMS = "hermesd_queue_claims_total"


async def test_jobs_wait_in_rabbitmq_until_a_worker_starts(
    ladder: Deployment, broker: Broker
) -> None:
    """Submit, look into the broker, start a worker, read the results."""
    await ladder.api()
    await serves(ladder, "amqp")
    answer = await ladder.client.submit("note")
    assert answer["routed"] == "queue"
    ids = [answer["job"]["id"], *await ladder.client.submit_many("note", {}, 299)]
    await owned(ladder, ids)
    assert (await broker.messages())["default.normal"] == 300
    await ladder.worker("w1")
    await came_through(ladder, ids)
    assert sum((await broker.messages()).values()) == 0
    assert await ladder.client.metric(CLAIMS, verdict="granted") == 300
    assert len(ladder.history.starts()) == 300
    assert (await ladder.client.job(ids[0]))["result"] == "noted"


async def test_a_worker_without_a_broker_gets_what_waits_there(
    ladder: Deployment, broker: Broker
) -> None:
    """It says that it does not pull: jobs are taken back, pushed to it, and no longer published."""
    await ladder.api()
    await serves(ladder, "amqp")
    ids = await ladder.client.submit_many("note", {}, 100)
    await owned(ladder, ids)
    await ladder.worker("w1", **ONE_SLOT, HERMES_QUEUE__KIND="embedded")
    ids += await ladder.client.submit_many("note", {}, 100)
    await came_through(ladder, ids)
    assert len(ladder.history.starts()) == 200
    assert await ladder.client.metric(CLAIMS, verdict="granted") == 0
    await until(partial(nothing_left, broker), "the messages to be cleared")


async def test_a_queue_that_a_reload_adds_is_declared_filled_and_pulled_from(
    ladder: Deployment,
) -> None:
    """The api makes it in the broker, and the worker that comes to serve it pulls."""
    file = ConfigFile(ladder.folder / "hermes.toml", {"queues": {"mail": {}}})
    worker = await ladder.worker("w1", **file.settings)
    del file.tree["queues"]
    file.write()
    api = await ladder.api(**file.settings)
    await serves(ladder, "amqp")
    await file.reload(api, "queues", mail={})
    await api.logged("topology declared", created=len(BANDS))
    ids = [(await ladder.client.submit("note", queue="mail"))["job"]["id"] for _ in range(20)]
    await owned(ladder, ids)
    await file.reload(worker, "worker", queues=["default", "mail"])
    await came_through(ladder, ids)
    assert await ladder.client.metric(CLAIMS, verdict="granted") == 20


async def test_a_new_password_is_used_after_a_reload(ladder: Deployment, broker: Broker) -> None:
    """By all connections to the broker that are made from then on."""
    secret, user = ladder.folder / "password", broker.namespace
    await broker.control("add_user", user, "first")
    await broker.control("set_permissions", "-p", "/", user, ".*", ".*", ".*")
    secret.write_text("first\n")
    file = ConfigFile(ladder.folder / "hermes.toml", {"queue": {"password_file": str(secret)}})
    url = f"amqp://{user}@127.0.0.1:{broker.node.port}/"
    both = await ladder.both(**file.settings, **ONE_SLOT, HERMES_QUEUE__URL=url)
    await serves(ladder, "amqp")
    await broker.control("change_password", user, "another")
    await broker.cut_connections()
    assert "refused" in (await both.logged("broker_away"))["reason"].lower()
    secret.write_text("another\n")
    line = await reload(both)
    assert line["changed"] == ["queue.url"]
    await serves(ladder, "amqp")
    ids = await ladder.client.submit_many("note", {}, 50)
    await came_through(ladder, ids)
    assert not any("another" in str(line) for line in both.log)


async def nothing_left(broker: Broker) -> bool:
    """Whether no message is in the broker."""
    return not sum((await broker.messages()).values())


async def test_the_most_urgent_band_goes_first(ladder: Deployment, broker: Broker) -> None:
    """Whatever the order of the submits, and in their order within a band."""
    await ladder.api()
    await serves(ladder, "amqp")
    priorities = [0, 5, 10, 8, 3, 2, 10, 7, 6, 9, 1, 4] * 3
    bands = [(p >= 10, p >= 7, p >= 3) for p in priorities]
    ids = [
        (await ladder.client.submit("note", priority=priority))["job"]["id"]
        for priority in priorities
    ]
    await owned(ladder, ids)
    waiting = await broker.messages()
    assert [waiting[f"default.{band}"] for band in BANDS] == [6, 9, 12, 9]
    await ladder.worker("w1", **ONE_SLOT)
    await came_through(ladder, ids)
    order = [ids.index(start.job_id) for start in ladder.history.starts()]
    assert [bands[place] for place in order] == sorted(bands, reverse=True)


async def test_a_short_job_never_waits_behind_a_long_one(ladder: Deployment) -> None:
    """A worker takes no message before it has a slot for it: the other one passes the long job."""
    await ladder.api()
    await serves(ladder, "amqp")
    long = (await ladder.client.submit("note", {"seconds": 600.0}, timeout=900))["job"]["id"]
    short = await ladder.client.submit_many("note", {"seconds": 0.01}, 40)
    await owned(ladder, [long, *short])
    await ladder.worker("w1", **ONE_SLOT)
    await ladder.worker("w2", **ONE_SLOT)

    async def only_the_long_one_runs() -> bool:
        jobs = (await ladder.client.stats())["jobs"]
        return jobs.get("succeeded", 0) == 40 and jobs.get("running", 0) == 1

    await until(only_the_long_one_runs, "all short jobs to end")
    assert (await ladder.client.http.delete(f"/jobs/{long}")).status_code == 202
    assert (await ladder.client.ended(long))["state"] == "cancelled"
    ladder.history.check([long, *short])


async def test_a_type_that_one_of_two_workers_speaks_is_not_published(ladder: Deployment) -> None:
    """It waits in the store and is pushed to the one; what both speak goes through RabbitMQ."""
    await ladder.api()
    await serves(ladder, "amqp")
    plain = await ladder.worker("plain", HANDLERS="note", **ONE_SLOT)
    able = await ladder.worker("able", **ONE_SLOT)
    await ladder.client.routable("plain", "able")
    held = await ladder.client.submit_many("note", {"seconds": 600.0}, 2)
    await ladder.client.running(2)
    rare = await ladder.client.submit_many("bulky", {"bytes": 10}, 20)
    usual = await ladder.client.submit_many("note", {"seconds": 0.01}, 20)
    await owned(ladder, usual)
    assert owners(ladder, rare) == {"store": 20}
    for job_id in held:
        await ladder.client.http.delete(f"/jobs/{job_id}")
    await ladder.client.all_ended()
    jobs = ladder.history.check([*held, *rare, *usual])
    assert {jobs[each].state for each in (*rare, *usual)} == {"succeeded"}
    pids = {start.job_id: start.pid for start in ladder.history.starts()}
    assert {pids[each] for each in rare} == {able.pid}
    assert plain.alive


async def test_a_message_that_its_worker_cannot_use_comes_back_to_the_store(
    ladder: Deployment, broker: Broker
) -> None:
    """Published while nobody was there, pulled by one without its handler, run by another."""
    await ladder.api()
    await serves(ladder, "amqp")
    rare = await ladder.client.submit_many("bulky", {"bytes": 10}, 20)
    usual = await ladder.client.submit_many("note", {}, 20)
    await owned(ladder, [*rare, *usual])
    await ladder.worker("plain", HANDLERS="note")
    await owned(ladder, rare, "store")
    await started(ladder, 20)
    able = await ladder.worker("able")
    await came_through(ladder, [*rare, *usual])
    pids = {start.job_id: start.pid for start in ladder.history.starts()}
    assert {pids[each] for each in rare} == {able.pid}
    assert len(ladder.history.starts()) == 40
    assert sum((await broker.messages()).values()) == 0


async def test_jobs_in_rabbitmq_survive_a_restart_of_the_api(
    ladder: Deployment, broker: Broker
) -> None:
    """They are neither published again nor taken back, and can be cancelled where they wait."""
    first = await ladder.api()
    await serves(ladder, "amqp")
    ids = await ladder.client.submit_many("note", {}, 100)
    await owned(ladder, ids)
    first.sigterm()
    assert await first.wait() == 0
    await ladder.api()
    await serves(ladder, "amqp")
    assert await ladder.client.metric("hermesd_jobs_with_broker") == 100
    answer = await ladder.client.http.delete(f"/jobs/{ids[0]}")
    assert answer.status_code in (200, 202)
    assert (await ladder.client.ended(ids[0]))["state"] == "cancelled"
    await ladder.worker("w1")
    await ladder.client.all_ended()
    assert await ladder.client.metric("hermesd_queue_publishes_total") == 0
    jobs = ladder.history.check(ids)
    assert sorted(row.state for row in jobs.values()) == ["cancelled", *["succeeded"] * 99]
    assert len(ladder.history.starts()) == 99

    async def empty() -> bool:
        return not sum((await broker.messages()).values())

    await until(empty, "the cancelled job's message to go")


async def test_a_worker_that_drains_leaves_the_rest_in_rabbitmq(
    ladder: Deployment, broker: Broker
) -> None:
    """It starts nothing more, ends with 0, and another worker goes on at once."""
    await ladder.api()
    await serves(ladder, "amqp")
    ids = await ladder.client.submit_many("note", {"seconds": 0.05}, 300)
    await owned(ladder, ids)
    first = await ladder.worker("w1", HERMES_WORKER__ASYNC_SLOTS="4")
    await started(ladder, 20)
    first.sigterm()
    assert await first.wait() == 0
    ran = len(ladder.history.starts())
    assert ran < 300
    assert sum((await broker.messages()).values()) > 0
    await ladder.worker("w2")
    await came_through(ladder, ids)
    assert len(ladder.history.starts()) == 300
