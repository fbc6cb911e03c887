"""Jobs that wait in RabbitMQ are pulled, claimed and run; nothing that cannot start is held."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import structlog
import trio
from brokers.declaring import declare
from brokers.rabbitmq import RabbitNode
from pulling import World, open_worker, until

from hermesd.core.amqp_names import Band
from hermesd.core.broker import Message
from hermesd.core.errors import StoreUnavailable
from hermesd.core.fleet import Heartbeat
from hermesd.core.job import Job
from hermesd.core.orders import OrderKind, WorkerOrder
from hermesd.core.states import State
from hermesd.handlers.contract import Handler, job
from hermesd.queues.topology import topology_of


class Doings:
    """Handlers of `note` (async) and `grind` (thread) that wait for the test."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.go = trio.Event()
        self.go.set()

    @property
    def handlers(self) -> list[Handler]:
        """Both."""

        async def note(payload: Any, ctx: Any) -> str:
            self.begun.append(ctx.job_id)
            await self.go.wait()
            return "done"

        def grind(payload: Any, ctx: Any) -> str:
            self.begun.append(ctx.job_id)
            while not self.go.is_set() and not ctx.cancel_requested():
                trio.from_thread.run(trio.sleep, 0.01)
            return "done"

        return [job("note")(note), job("grind")(grind)]


@pytest.fixture
def doings() -> Doings:
    """What the handlers do."""
    return Doings()


async def test_waiting_jobs_are_run_and_recorded(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Each once, claimed many at a time; their messages are gone."""
    jobs = await world.submit(jobs=100)
    async with open_worker(world, rabbitmq.url(), doings.handlers, slots={"async": 64}) as worker:
        await world.succeeded(jobs)
        await world.all_waiting(0)
        await until(lambda: not worker.state.leases.held(), "the verdicts")
        assert sorted(doings.begun) == sorted(each.id for each in jobs)
        assert worker.counted("claims", verdict="granted") == 100
        assert worker.counted("messages_pulled", queue="default", band="normal") == 100
        assert len(world.desk.claims) < 60
        assert worker.state.slots.free()["async"] == 64
    assert await world.waiting() == 0


async def test_the_highest_band_goes_first(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """With one slot, in the order of the bands and within each of arrival."""
    jobs = [
        job for priority in (0, 3, 7, 10) for job in await world.submit(jobs=3, priority=priority)
    ]
    slots = {"async": 1, "thread": 0}
    async with open_worker(world, rabbitmq.url(), doings.handlers[:1], slots=slots):
        await world.succeeded(jobs)
    wanted = [each.id for band in (9, 6, 3, 0) for each in jobs[band : band + 3]]
    assert doings.begun == wanted


async def test_no_more_is_held_than_can_run(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """The others stay in the queue for anybody, and a slot that is free takes the next at once."""
    doings.go = trio.Event()
    jobs = await world.submit(jobs=6)
    slots = {"async": 2, "thread": 0}
    async with open_worker(world, rabbitmq.url(), doings.handlers[:1], slots=slots) as worker:
        await until(lambda: len(doings.begun) == 2, "two to begin")
        await world.all_waiting(4)
        doings.go.set()
        await world.succeeded(jobs)
        assert worker.counted("messages_redelivered", queue="default") == 0


async def test_what_has_no_slot_is_left_to_others(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """A full kind does not make its messages come and go, nor does it hold up another kind."""
    doings.go = trio.Event()
    grinds = await world.submit("grind", jobs=20)
    async with open_worker(world, rabbitmq.url(), doings.handlers, slots={"thread": 1}) as worker:
        await until(lambda: len(doings.begun) == 1, "the thread to be busy")
        notes = await world.submit("note", jobs=2, priority=0)
        await until(lambda: len(doings.begun) == 3, "the others to begin")
        assert {*doings.begun[1:]} == {each.id for each in notes}
        assert worker.counted("messages_not_run", reason="no-slot") <= 2
        doings.go.set()
        await world.succeeded([*grinds, *notes])


async def test_urgent_jobs_of_a_full_kind_go_before_others(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """With slots of another kind free all the time."""
    urgent = await world.submit(jobs=10, priority=10)
    idle = await world.submit(jobs=10, priority=0)
    async with open_worker(world, rabbitmq.url(), doings.handlers, slots={"async": 1}) as worker:
        await world.succeeded([*urgent, *idle])
        assert doings.begun == [each.id for each in [*urgent, *idle]]
        assert worker.counted("messages_not_run", reason="no-slot") <= 2


async def test_stale_messages_are_acknowledged_and_counted(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Of an older lease, of a job that ended, and the same message twice."""
    [cancelled, taken_back, twice] = await world.submit(jobs=3)
    await world.store.jobs.cancel(cancelled.id)
    [newer] = await world.store.outbox.take_back([taken_back.token], 1.0)
    assert newer is not None
    await world.publish(twice)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await world.succeeded([twice])
        await world.all_waiting(0)
        await until(lambda: not worker.state.leases.in_hand, "nothing to be in hand")
        assert doings.begun == [twice.id]
        assert worker.counted("claims", verdict="cancelled") == 1
        assert worker.counted("claims", verdict="stale") == 1
        assert (await world.job(taken_back.id)).state is State.QUEUED
        assert worker.state.slots.free()["async"] == 4
    assert await world.ready(world.names.returned) == 0


async def test_a_claim_that_is_granted_again_does_not_run_again(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """A message that comes back while its job runs is acknowledged."""
    doings.go = trio.Event()
    jobs = await world.submit()
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: len(doings.begun) == 1, "the start")
        await world.publish(*jobs)
        await until(lambda: worker.counted("claims", verdict="doubled") == 1, "the second grant")
        await world.all_waiting(0)
        doings.go.set()
        await world.succeeded(jobs)
        assert len(doings.begun) == 1
        assert worker.state.slots.free()["async"] == 4


async def test_what_nobody_here_can_run_is_rejected(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Unknown types, jobs and stores, and what is no message: all come to the returned ones."""
    await world.submit("nobody.speaks")
    missing = Job(id="missing", type="note", payload=msgspec.Raw(b"{}"))
    await world.publish(missing)
    await world.publish(missing, store_id="another-store")
    key = f"default.{Band.NORMAL}"
    rubbish = Message(exchange=world.names.exchange, routing_key=key, body=b"?", headers={})
    await world.line.publish([rubbish])
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await world.holds(world.names.returned, 4)
        assert worker.counted("messages_not_run", reason="unknown-type") == 1
        assert worker.counted("messages_not_run", reason="undecodable") == 1
        assert worker.counted("claims", verdict="foreign-store") == 1
        assert worker.counted("claims", verdict="unknown") == 1


async def test_messages_are_held_while_the_store_is_away(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """That is an answer, so nothing runs however long it takes, and all runs once after it."""
    world.desk.refusing = StoreUnavailable("no disk")
    jobs = await world.submit(jobs=3)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: len(world.desk.claims) > 2, "several claims")
        worker.clock.stepped += worker.state.config.liveness.ttl_seconds
        claims = len(world.desk.claims)
        await until(lambda: len(world.desk.claims) > claims + 1, "claims after that")
        assert not doings.begun
        world.desk.refusing = None
        await world.succeeded(jobs)
        assert len(doings.begun) == 3


async def test_heartbeats_list_what_is_being_claimed(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """A grant whose answer is under way is not taken for one that is not held."""
    go = trio.Event()
    world.desk.before_claim = go.wait
    [waiting] = await world.submit()
    grant = (waiting.id, waiting.lease + 1)

    def listed(heartbeat: Heartbeat) -> bool:
        return grant in {(token.job_id, token.lease) for token in heartbeat.held}

    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: any(map(listed, world.desk.heartbeats)), "it to be listed")
        assert not doings.begun
        go.set()
        await world.succeeded([waiting])
        await until(lambda: not listed(world.desk.heartbeats[-1]), "it to be gone")
        assert not worker.state.leases.held()


async def test_a_fenced_worker_claims_as_another(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """What it holds is claimed by its next incarnation."""
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: bool(world.desk.heartbeats), "its registration")
        first = worker.state.incarnation
        await world.store.fleet.fence(first, silent_for_seconds=None)
        jobs = await world.submit(jobs=3)
        await world.succeeded(jobs)
        assert worker.state.incarnation != first
        assert len(doings.begun) == 3


async def test_a_drain_gives_back_what_it_holds(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Pulling ends first: others have the messages, before the worker has left."""
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: bool(world.desk.heartbeats), "its registration")
        world.desk.refusing = StoreUnavailable("no disk")
        await world.submit(jobs=3)
        await until(lambda: bool(worker.state.leases.in_hand), "some to be held")
        worker.stop.drain.set()
        await world.all_waiting(3)
        await worker.ended.wait()
    assert not doings.begun


async def test_a_worker_that_is_there_before_its_queues_pulls_once_they_are(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """It asks again and again, and says so once for each."""
    early = World(world.line, world.store, world.store_id)
    with structlog.testing.capture_logs() as logs:
        async with open_worker(early, rabbitmq.url(), doings.handlers):

            def found_absent() -> list[str]:
                return [str(each["why"]) for each in logs if each["event"] == "cannot pull"]

            await until(lambda: len(found_absent()) == len(Band), "it to miss them all")
            assert all("no queue" in each for each in found_absent())
            await declare(world.line, topology_of(early.names, early.config.queues))
            jobs = await early.submit(jobs=30)
            await early.succeeded(jobs)
            await early.all_waiting(0)


async def test_many_small_jobs_of_all_bands_are_pulled_many_at_a_time(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """And claimed so; none is left in hand or unacknowledged."""
    jobs = [
        job for priority in (10, 8, 5, 1) for job in await world.submit(jobs=300, priority=priority)
    ]
    slots = {"async": 256}
    async with open_worker(world, rabbitmq.url(), doings.handlers, slots=slots) as worker:
        await world.succeeded(jobs)
        await until(lambda: not worker.state.leases.held(), "the verdicts")
        assert len(doings.begun) == len(jobs)
        assert len(world.desk.claims) < len(jobs) / 10
    assert await world.waiting() == 0


@pytest.mark.faults
async def test_pulling_goes_on_after_the_broker_was_away(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """By itself, and confirmed messages are still there."""
    jobs = await world.submit(jobs=3)
    world.desk.refusing = StoreUnavailable("no disk")
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        broker = worker.state.broker
        assert broker is not None
        await until(lambda: bool(worker.state.leases.in_hand), "some to be held")
        await trio.to_thread.run_sync(rabbitmq.kill)
        try:
            await until(lambda: not broker.status.connected, "the loss")
        finally:
            await trio.to_thread.run_sync(rabbitmq.start)
        world.desk.refusing = None
        await world.succeeded(jobs)
        assert sorted(doings.begun) == sorted(each.id for each in jobs)
        await until(lambda: world.line.status.serving, "the other line")
        await world.all_waiting(0)


async def test_nothing_is_pulled_from_a_paused_queue(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """As soon as an api says so; what waits there stays until another word."""
    world.desk.told = ("default",)
    jobs = await world.submit(jobs=3)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: worker.state.paused_queues == {"default"}, "the api's word")
        beats = len(world.desk.heartbeats)
        await until(lambda: len(world.desk.heartbeats) > beats + 5, "time to pass")
        assert (await world.waiting(), doings.begun) == (3, [])
        world.desk.told = ()
        await world.succeeded(jobs)


async def test_a_claim_for_a_paused_queue_sends_the_message_back(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """It was pulled before the worker knew; nothing is lost, and nothing goes round and round."""
    world.desk.paused = {"default"}

    async def tell() -> None:
        world.desk.told = ("default",)

    world.desk.before_claim = tell
    jobs = await world.submit(jobs=1)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: worker.counted("claims", verdict="paused") >= 1, "the refusal")
        await world.all_waiting(1)
        beats = len(world.desk.heartbeats)
        await until(lambda: len(world.desk.heartbeats) > beats + 5, "time to pass")
        assert worker.counted("claims", verdict="paused") <= 3
        assert worker.state.slots.free() == worker.state.slots.totals
        assert not worker.state.leases.in_hand
        world.desk.paused, world.desk.told, world.desk.before_claim = set(), (), None
        await world.succeeded(jobs)
        assert {claim.queue for claims in world.desk.claims for claim in claims} == {"default"}


async def test_a_paused_worker_pulls_nothing(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Until it is resumed."""
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: bool(worker.state.sessions), "the api")
        [session] = worker.state.sessions.values()
        worker.state.obey(session, WorkerOrder(id="1", kind=OrderKind.PAUSE))
        jobs = await world.submit(jobs=2)
        beats = len(world.desk.heartbeats)
        await until(lambda: len(world.desk.heartbeats) > beats + 5, "time to pass")
        assert (await world.waiting(), doings.begun) == (2, [])
        assert world.desk.heartbeats[-1].paused
        worker.state.obey(session, WorkerOrder(id="2", kind=OrderKind.RESUME))
        await world.succeeded(jobs)
