"""The broker's rung at a real RabbitMQ: what is offered, claimed, given back and lost there."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
import trio
from processes.ports import free_port

from agents.brokered import PATIENCE_SECONDS, Brokered, open_brokered
from agents.scripted import ScriptedWorker
from agents.world import TYPES, until
from hermesd.api.app import build_app
from hermesd.api.takeback import HELD_SECONDS, LOOK_SECONDS, SETTLED_SECONDS
from hermesd.core.amqp_names import Band
from hermesd.core.broker import BrokerQueue, Message, Topology
from hermesd.core.fleet import Deregistration, Incarnation
from hermesd.core.job import Job, Owner, Rung, Token
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import ClaimVerdict, Submission
from hermesd.core.states import State
from hermesd.queues.topology import DELIVERY_LIMIT, topology_of


async def waits_at_broker(at: Brokered, **members: Any) -> Job:
    """A job that nobody can take now, and that was offered."""
    answer = await at.api.submit(**members)
    assert answer.routed == "queue"
    await at.offered()
    job = await at.job(answer.job)
    assert (job.state, job.owner) == (State.QUEUED, Owner.AMQP)
    return job


async def live(at: Brokered, worker: str = "w1") -> None:
    """An incarnation that may claim."""
    known = Incarnation(incarnation=f"{worker}.1", worker_id=worker, address="127.0.0.1:1")
    await at.api.store.fleet.register(known)


async def join(
    at: Brokered, slots: int, name: str = "w1", types: Any = TYPES, *, pulls: bool | None = None
) -> ScriptedWorker:
    """A worker with so many async slots, which is pushed to; nothing pulls, whatever it says."""
    worker = ScriptedWorker(name, slots={"async": slots, "thread": 0, "process": 0})
    worker.types, worker.pulls = types, pulls
    await worker.open(at.api.nursery)
    await worker.join(at.api)
    return worker


async def leave(at: Brokered, worker: ScriptedWorker) -> None:
    """The worker's last word."""
    await at.api.agents.control.deregister(Deregistration(incarnation=worker.incarnation))


def metric(at: Brokered, name: str, **labels: str) -> float:
    """A sample."""
    value = at.api.state.metrics.registry.get_sample_value(name, labels)
    return value or 0.0


async def test_what_nobody_can_take_waits_at_the_broker(rabbitmq: Any) -> None:
    """It is counted as before, the client is told where, and a second pass offers nothing."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        answer = await at.api.submit(priority=10)
        assert answer.note == "queued: no worker is registered (rung amqp)"
        await at.offered()
        job = await at.job(answer.job)
        assert (job.owner, job.lease) == (Owner.AMQP, answer.job.lease)
        assert await at.agents.offerer.run_once() == (0, 0)
        _, message = await at.job_message(Band.CRITICAL)
        assert (message.job.token, message.store_id) == (job.token, at.api.state.store_id)
        assert at.api.state.tally.waiting_total == at.api.state.published.total == 1
        kinds = [event.kind for event in at.api.state.ring.recent(10)]
        assert kinds == ["published", "queued"]
        assert metric(at, "hermesd_queue_publishes_total", fate="confirmed") == 1


async def test_a_backlog_goes_in_few_batches_in_its_order(rabbitmq: Any) -> None:
    """Within a band the most urgent first, and the oldest of them."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [(await at.api.submit(priority=each)).job for each in (3, 4, 3, 6, 4)]
        await at.offered()
        found = [(await at.job_message())[1].job.id for _ in jobs]
        assert found == [jobs[each].id for each in (3, 1, 4, 0, 2)]


async def test_a_granted_claim_is_known_to_the_api(rabbitmq: Any) -> None:
    """Held for its worker and counted as running; asking again changes nothing."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [await waits_at_broker(at) for _ in range(2)]
        worker = await join(at, 0)
        tokens = [*(job.token for job in jobs), Token(jobs[0].id, 7), Token("none", 0)]
        claims = [at.claim(token) for token in tokens]
        claims.append(msgspec.structs.replace(claims[0], store_id="another"))
        answers = await at.api.agents.control.claim(claims)
        assert [answer.verdict for answer in answers] == [
            ClaimVerdict.GRANTED,
            ClaimVerdict.GRANTED,
            ClaimVerdict.STALE,
            ClaimVerdict.UNKNOWN,
            ClaimVerdict.FOREIGN_STORE,
        ]
        state = at.api.state
        assert (state.tally.waiting_total, state.published.total) == (0, 0)
        assert state.tally.states[State.RUNNING] == 2
        held = at.api.view(worker.incarnation).held
        assert {job.id for job in jobs} == held.keys()
        assert {each.job.rung for each in held.values()} == {Rung.AMQP}
        [again] = await at.api.agents.control.claim(claims[:1])
        assert again.repeated
        assert state.tally.states[State.RUNNING] == 2
        assert metric(at, "hermesd_queue_claims_total", verdict="granted") == 2


async def test_a_type_that_a_worker_does_not_speak_is_not_published(rabbitmq: Any) -> None:
    """It waits in the store until a worker that speaks it is free."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        await join(at, 0, types=TYPES[:1])
        rare = (await at.api.submit("chime")).job
        usual = (await at.api.submit("note")).job
        await at.offered()
        assert (await at.job(rare)).owner is Owner.STORE
        assert (await at.job(usual)).owner is Owner.AMQP
        able = await join(at, 1, "w2")
        await at.api.agents.feeder.run_once()
        await at.api.agents.lines.flushed()
        assert {token.job_id for token in able.held} == {rare.id}


async def test_nothing_is_published_where_no_worker_pulls(rabbitmq: Any) -> None:
    """It would wait for ever; types that only such workers lack are published."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        await join(at, 0, types=TYPES[:1], pulls=False)
        alone = (await at.api.submit()).job
        await at.offered()
        assert (await at.job(alone)).owner is Owner.STORE
        await join(at, 0, "w2", pulls=True)
        other = (await at.api.submit("chime")).job
        await at.offered()
        for job in (alone, other):
            assert (await at.job(job)).owner is Owner.AMQP


async def test_what_nobody_pulls_any_more_is_taken_back(rabbitmq: Any) -> None:
    """As soon as a worker that does not pull has a slot; its messages are cleared."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [await waits_at_broker(at) for _ in range(3)]
        await at.agents.take_back.run_once()
        assert (await at.job(jobs[0])).owner is Owner.AMQP
        worker = await join(at, 1, pulls=False)
        await at.agents.take_back.run_once()
        assert {(await at.job(job)).owner for job in jobs} == {Owner.STORE}
        assert await at.api.agents.feeder.run_once() == 1
        await at.api.agents.lines.flushed()
        assert {token.job_id for token in worker.held} == {jobs[0].id}
        await at.agents.leftovers.run_once()
        await at.ready(at.names.queue_of("default", Band.NORMAL), 0)
        assert metric(at, "hermesd_queue_taken_back_total", reason="not-pulled") == 3


async def test_a_free_worker_that_does_not_pull_is_given_some_of_what_waits(rabbitmq: Any) -> None:
    """As much as it has slots for, the most urgent first, and pushed past what is left."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [await waits_at_broker(at, priority=each) for each in (3, 5, 3)]
        await join(at, 0, pulls=True)
        worker = await join(at, 1, "w2", pulls=False)
        await at.agents.take_back.run_once()
        owners = [(await at.job(job)).owner for job in jobs]
        assert owners == [Owner.AMQP, Owner.STORE, Owner.AMQP]
        assert await at.api.agents.feeder.run_once() == 1
        await at.api.agents.lines.flushed()
        assert {token.job_id for token in worker.held} == {jobs[1].id}


async def test_no_job_overtakes_its_equals_at_the_broker(rabbitmq: Any) -> None:
    """It is offered behind them though a slot is free, but not while the broker is of no use."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        first = await waits_at_broker(at, priority=3)
        worker = await join(at, 1)
        equal = (await at.api.submit(priority=3)).job
        assert await at.api.agents.feeder.run_once() == 0
        await at.agents.offerer.run_once()
        assert (await at.job(equal)).owner is Owner.AMQP
        urgent = await at.api.submit(priority=10)
        assert urgent.routed == "direct"
        await worker.report(at.api, worker.outcome(Token(urgent.job.id, 1)))
        less = (await at.api.submit(priority=0)).job
        at.queue.declared("nothing is confirmed")
        assert await at.api.agents.feeder.run_once() == 1
        assert (await at.job(less)).rung is Rung.STORE
        assert (await at.job(first)).owner is Owner.AMQP


async def test_what_the_broker_does_not_confirm_stays_in_the_store(rabbitmq: Any) -> None:
    """And is offered again; a topology that is gone is asked for."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        name = at.names.queue_of("default", Band.NORMAL)
        job = (await at.api.submit(priority=3)).job
        rabbitmq.control("eval", _deleted(name))
        await at.offered()
        assert (await at.job(job)).owner is Owner.STORE
        assert at.queue.misrouted.is_set
        assert at.queue.rung is Rung.STORE
        assert "1 returned" in (await at.queue.status()).reason
        await at.declared()
        await at.offered()
        assert (await at.job(job)).owner is Owner.AMQP
        assert at.queue.rung is Rung.AMQP


def _deleted(queue: str) -> str:
    """The broker's own words for deleting a queue."""
    return (
        f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),'
        ' rabbit_amqqueue:delete(Q, false, false, <<"test">>).'
    )


async def test_a_rejected_message_takes_its_job_back(rabbitmq: Any) -> None:
    """To the store, under a new lease, and its type is not published for a while."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        job = await waits_at_broker(at)
        delivery, _ = await at.job_message()
        await delivery.reject()
        returned = await at.message(at.names.returned)
        await at.agents.returns.handle([returned])
        back = await at.job(job)
        assert (back.owner, back.lease) == (Owner.STORE, job.lease + 1)
        assert await at.agents.offerer.run_once() == (0, 0)
        assert at.api.state.published.total == 0
        await at.ready(at.names.returned, 0)
        worker = await join(at, 1)
        assert await at.api.agents.feeder.run_once() == 1
        await at.api.agents.lines.flushed()
        assert {token.job_id for token in worker.held} == {job.id}
        assert metric(at, "hermesd_queue_taken_back_total", reason="returned") == 1


@pytest.mark.parametrize("crashes", [0, 2])
async def test_a_message_given_up_by_the_broker(rabbitmq: Any, crashes: int) -> None:
    """Its job is pushed from then on; one that another crash would quarantine has failed."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        job = Job(id="j", type="note", payload=msgspec.Raw(b"{}"), crash_count=crashes)
        store, state = at.api.store, at.api.state
        await store.jobs.insert(Submission(jobs=(job,), keys=(None,)))
        assert list(await at.queue.offer([job])) == [True]
        assert list(await store.outbox.hand_over([job.token], at.api.clock.utc())) == [True]
        state.tally.reset(await store.reader.counts())
        for _ in range(DELIVERY_LIMIT + 1):
            delivery, _ = await at.job_message()
            await delivery.requeue()
        await at.agents.returns.handle([await at.message(at.names.returned)])
        now = await at.job(job)
        assert now.state is (State.FAILED if crashes else State.QUEUED)
        assert await at.agents.offerer.run_once() == (0, 0)
        assert state.tally.states[now.state] == 1


async def test_what_nobody_can_use_ends_in_the_dead_letter_queue(rabbitmq: Any) -> None:
    """Returned messages and outcomes that are none, of another store, or of an unknown job."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        for queue, handle in (
            (at.names.returned, at.agents.returns.handle),
            (at.names.outcomes, at.agents.pulled.handle),
        ):
            message = Message(exchange="", routing_key=queue, body=b"?", headers={})
            await at.line.publish([message])
            await handle([await at.message(queue)])
            await (await at.message(at.names.dead_letter_queue)).ack()
        await at.publish_outcome(Token("nobody", 0))
        await at.agents.pulled.handle([await at.message(at.names.outcomes)])
        await (await at.message(at.names.dead_letter_queue)).ack()


async def test_an_outcome_through_the_broker_is_claim_and_outcome(rabbitmq: Any) -> None:
    """Of a job that waited, and of one that was claimed; a second one changes nothing."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        unclaimed, claimed, failing = [await waits_at_broker(at) for _ in range(3)]
        worker = await join(at, 0)
        await at.api.agents.control.claim([at.claim(claimed.token)])
        for token in (unclaimed.token, claimed.token, unclaimed.token):
            await at.publish_outcome(token)
        await at.publish_outcome(failing.token, kind=OutcomeKind.FAILED)
        await at.agents.pulled.handle([await at.message(at.names.outcomes) for _ in range(4)])
        for job in (unclaimed, claimed):
            now = await at.job(job)
            assert (now.state, now.attempts, bytes(now.result or b"")) == (
                State.SUCCEEDED,
                1,
                b"1",
            )
        assert (await at.job(failing)).state is State.SCHEDULED
        tally = at.api.state.tally
        assert (tally.states[State.SUCCEEDED], tally.states[State.SCHEDULED]) == (2, 1)
        assert (tally.states[State.RUNNING], tally.waiting_total) == (0, 0)
        assert not at.api.view(worker.incarnation).held
        assert metric(at, "hermesd_queue_pulled_outcomes_total", verdict="recorded") == 3
        assert metric(at, "hermesd_queue_pulled_outcomes_total", verdict="dropped") == 1
        assert at.api.breaches() == 0


async def test_a_worker_that_leaves_runs_nothing_twice_whose_outcome_came(rabbitmq: Any) -> None:
    """Its jobs are given back after what is being recorded; without that they would run again."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        told, lost = [await waits_at_broker(at) for _ in range(2)]
        worker = await join(at, 0)
        await at.api.agents.control.claim([at.claim(job.token) for job in (told, lost)])
        await at.publish_outcome(told.token)
        delivery = await at.message(at.names.outcomes)
        with at.api.state.unrecorded.noted([Token(told.id, told.lease + 1)]):
            await worker.beat(at.api)
            at.api.nursery.start_soon(leave, at, worker)
            await until(lambda: at.api.view(worker.incarnation).condemned, "the leave")
            assert (await at.job(told)).state is State.RUNNING
            await at.agents.pulled.handle([delivery])
        await until(lambda: at.api.state.registry.get(worker.incarnation) is None, "the end")
        assert (await at.job(told)).state is State.SUCCEEDED
        assert (await at.job(lost)).state is State.QUEUED


async def test_outcomes_that_were_published_before_the_leave_are_waited_for(rabbitmq: Any) -> None:
    """They are on their way from the broker when the worker says goodbye."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [await waits_at_broker(at) for _ in range(20)]
        worker = await join(at, 0)
        await at.api.agents.control.claim([at.claim(job.token) for job in jobs])
        at.api.nursery.start_soon(at.agents.run)
        await at.agents.keeper.declared.wait()
        for job in jobs:
            await at.publish_outcome(job.token)
        await leave(at, worker)
        assert {(await at.job(job)).state for job in jobs} == {State.SUCCEEDED}


async def test_what_a_worker_has_published_is_not_taken_for_lost(rabbitmq: Any) -> None:
    """Its heartbeat lists that no more, and the outcome is to come first."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        job = await waits_at_broker(at)
        worker = await join(at, 0)
        await at.api.agents.control.claim([at.claim(job.token)])
        await at.publish_outcome(job.token)
        await at.ready(at.names.outcomes, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.beat, at.api)
            at.api.nursery.start_soon(at.agents.run)
        await until(lambda: not at.api.view(worker.incarnation).held, "the outcome")
        ended = await at.job(job)
        assert (ended.state, ended.lease) == (State.SUCCEEDED, job.lease + 1)


async def test_outcomes_that_a_starting_api_has_no_time_for_stay_in_their_queue(
    rabbitmq: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are there for whoever consumes it then."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        await live(at)
        jobs = [await waits_at_broker(at) for _ in range(40)]
        for job in jobs:
            await at.publish_outcome(job.token)
        await at.ready(at.names.outcomes, len(jobs))
        monkeypatch.setattr("hermesd.api.pulled.CATCH_UP_SECONDS", 0.01)
        await at.agents.catch_up()
        ended = [job for job in jobs if (await at.job(job)).state is State.SUCCEEDED]
        await at.ready(at.names.outcomes, len(jobs) - len(ended))


async def test_reading_the_outcomes_is_not_the_silence_of_workers(rabbitmq: Any) -> None:
    """Nobody could be heard of meanwhile."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        await live(at)
        at.api.clock.let_pass(30)
        await at.agents.catch_up()
        assert not await at.api.store.fleet.fence("w1.1", silent_for_seconds=15)


async def test_a_starting_api_reads_the_outcomes_first(rabbitmq: Any) -> None:
    """Before it gives anything to anyone: they are recorded when it has recalled its state."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [await waits_at_broker(at) for _ in range(3)]
        await live(at)
        for job in jobs[:2]:
            await at.publish_outcome(job.token)
        await at.ready(at.names.outcomes, 2)
        namespace = at.names.exchange.removesuffix(".jobs")
        async with open_brokered(rabbitmq.url(), store=at.api.store, namespace=namespace) as later:
            assert later.api.state.tally.states[State.SUCCEEDED] == 2
            assert later.api.state.published.total == later.api.state.tally.waiting_total == 1
            await later.ready(at.names.outcomes, 0)


async def test_purged_messages_are_noticed(rabbitmq: Any) -> None:
    """Two looks agree that more is missing than workers can hold; the jobs wait in the store."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        jobs = [await waits_at_broker(at) for _ in range(3)]
        at.api.clock.let_pass(SETTLED_SECONDS + 1)
        await at.agents.take_back.run_once()
        at.api.clock.let_pass(LOOK_SECONDS)
        await at.agents.take_back.run_once()
        assert (await at.job(jobs[0])).owner is Owner.AMQP
        for _ in jobs:
            await (await at.job_message())[0].ack()
        for _ in range(3):
            at.api.clock.let_pass(LOOK_SECONDS)
            await at.agents.take_back.run_once()
        for job in jobs:
            back = await at.job(job)
            assert (back.owner, back.lease) == (Owner.STORE, job.lease + 1)
        assert metric(at, "hermesd_queue_taken_back_total", reason="vanished") == 3


async def test_messages_that_a_worker_may_hold_are_waited_for(rabbitmq: Any) -> None:
    """For longer than it may hold them."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        job = await waits_at_broker(at)
        worker = ScriptedWorker("w1", slots={"async": 4})
        await worker.open(at.api.nursery)
        await at.api.agents.control.register(worker.registration())
        await (await at.job_message())[0].ack()
        at.api.clock.let_pass(SETTLED_SECONDS + 1)
        looks = int(HELD_SECONDS / LOOK_SECONDS)
        for _ in range(looks):
            await at.agents.take_back.run_once()
            assert (await at.job(job)).owner is Owner.AMQP
            at.api.clock.let_pass(LOOK_SECONDS)
        await at.agents.take_back.run_once()
        assert (await at.job(job)).owner is Owner.STORE


async def test_a_broker_that_stays_away_loses_its_jobs(rabbitmq: Any) -> None:
    """They go back to the store after a while; meanwhile submits are answered as ever."""
    store_of: list[Any] = []
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        job = await waits_at_broker(at)
        store_of.append(at.api.store)
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    settings = {"queue": {"take_back_seconds": 20}}
    async with open_brokered(url, settings, store=store_of[0], away=True) as at:
        answer = await at.api.submit()
        assert answer.note == "queued behind waiting jobs of queue default (rung store)"
        await at.agents.take_back.run_once()
        assert (await at.job(job)).owner is Owner.AMQP
        at.api.clock.let_pass(20)
        await at.agents.take_back.run_once()
        assert (await at.job(job)).owner is Owner.STORE
        assert at.api.state.published.total == 0
        assert metric(at, "hermesd_queue_taken_back_total", reason="unreachable") == 1


async def test_messages_of_jobs_that_were_taken_back_are_cleared(rabbitmq: Any) -> None:
    """All that no claim can be granted for, and none that is of use still."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        await live(at)
        gone = [await waits_at_broker(at) for _ in range(70)]
        [running] = await at.api.agents.control.claim([at.claim(gone[1].token)])
        assert running.job is not None
        back = await at.api.state.outbox.take_back([job.token for job in gone], 1.0)
        assert back.count(None) == 1
        agents = at.agents
        agents.leftovers.expect(job for job, now in zip(gone, back, strict=True) if now)
        fresh = (await at.api.submit()).job
        await at.offered()
        assert (await at.job(fresh)).owner is Owner.STORE
        await agents.leftovers.run_once()
        await at.offered()
        queue = at.names.queue_of("default", Band.NORMAL)
        await at.ready(queue, 2)
        found = {(await at.job_message())[1].job.token for _ in range(2)}
        assert found == {gone[1].token, fresh.token}


async def test_the_agents_by_themselves(rabbitmq: Any) -> None:
    """The topology is declared, jobs are offered, returned ones come back, outcomes are taken."""
    async with open_brokered(rabbitmq.url()) as at:
        at.api.start()
        at.api.nursery.start_soon(at.agents.run)
        await live(at)
        await until(lambda: at.queue.rung is Rung.AMQP, "the rung to serve", PATIENCE_SECONDS)
        first, second = (await at.api.submit()).job, (await at.api.submit()).job
        delivery, message = await at.job_message()
        assert message.job.token == first.token
        await at.publish_outcome(first.token)
        await delivery.ack()
        await (await at.job_message())[0].reject()

        async def done() -> bool:
            ended, back = await at.job(first), await at.job(second)
            return ended.state is State.SUCCEEDED and back.lease > second.lease

        await until(done, "outcome and return to be taken", PATIENCE_SECONDS)
        assert at.agents.keeper.topology_fault() == at.agents.keeper.broker_fault() == ""


async def test_a_topology_that_differs_is_told_and_left_alone(rabbitmq: Any) -> None:
    """The rung serves all the same."""
    async with open_brokered(rabbitmq.url()) as at:
        queue = at.names.queue_of("default", Band.HIGH)
        planned = topology_of(at.names, ["default"])
        [own] = [each for each in planned.queues if each.name == queue]
        arguments = {**own.arguments, "x-delivery-limit": 3}
        other = BrokerQueue(name=queue, arguments=arguments)
        await at.line.declare(Topology(exchanges=(), queues=(other,), bindings=()))
        at.api.nursery.start_soon(at.agents.keeper.run)
        await until(lambda: at.queue.rung is Rung.AMQP, "the rung to serve", PATIENCE_SECONDS)
        fault = at.agents.keeper.topology_fault()
        assert queue in fault
        assert "x-delivery-limit" in fault


async def test_ready_and_stats_name_the_rung_and_the_reason(rabbitmq: Any) -> None:
    """The api stays ready without its broker, and says so."""
    async with open_brokered(rabbitmq.url()) as at:
        app = build_app(at.api.agents.services())
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            answer = await client.get("/ready")
            assert answer.status_code == 200
            why = "its queues have not been declared yet"
            assert answer.json()["checks"]["queue"] == {"ok": True, "reason": why, "rung": "store"}
            assert answer.json()["checks"]["broker"] == {"ok": False, "reason": why}
            assert not answer.json()["checks"]["topology"]["ok"]
            stats = (await client.get("/stats")).json()
            assert (stats["rung"], stats["rung_reason"]) == ("store", why)
            assert metric(at, "hermesd_queue_rung_serving", rung="amqp") == 0
            at.api.nursery.start_soon(at.agents.keeper.run)
            await until(lambda: at.queue.rung is Rung.AMQP, "the rung to serve", PATIENCE_SECONDS)
            checks = (await client.get("/ready")).json()["checks"]
            assert checks["queue"] == {"ok": True, "reason": "", "rung": "amqp"}
            assert checks["broker"] == checks["topology"] == {"ok": True, "reason": ""}
            assert (await client.get("/stats")).json()["rung"] == "amqp"
            assert metric(at, "hermesd_queue_rung_serving", rung="amqp") == 1
            await waits_at_broker(at)
            assert metric(at, "hermesd_jobs_with_broker") == 1
