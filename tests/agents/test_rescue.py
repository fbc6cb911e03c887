"""Silent, dead and departing workers, and what becomes of their jobs."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.test_feed import plant, waiting
from agents.world import Api, all_in, open_api, until
from hermesd.api.adopter import period_seconds
from hermesd.api.reap import ORPHANS_EVERY_TICKS
from hermesd.core.errors import InvalidValue
from hermesd.core.fleet import Deregistration
from hermesd.core.job import Token
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import Verdict
from hermesd.core.states import State
from hermesd.stores.portion import MOST_BYTES

TTL = 15.0


async def join(api: Api, name: str = "w1", *, beating: bool = False) -> ScriptedWorker:
    """A worker that is routable."""
    worker = ScriptedWorker(name)
    await worker.open(api.nursery)
    await worker.join(api)
    if beating:
        worker.keep_beating(api)
    return worker


async def test_silence_gives_jobs_back_and_charges_nothing(api: Api, clock: MockClock) -> None:
    """Not before the TTL; the attempt is given back, no crash is counted."""
    await join(api)
    job_id = (await api.submit()).job.id
    api.start()
    await trio.sleep(TTL - 2)
    assert (await api.job(job_id)).state is State.RUNNING
    await all_in(api, [job_id], State.QUEUED)
    job = await api.job(job_id)
    assert (job.attempts, job.crash_count) == (0, 0)
    assert not len(api.state.registry)
    assert api.breaches() == 0


async def test_time_in_which_the_api_did_not_run_is_nobodys_silence(
    api: Api, clock: MockClock
) -> None:
    """It was stopped for an hour: the workers have the time that they had before."""
    await join(api)
    await trio.sleep(5)
    clock.jump(3600)
    await api.agents.reaper.run_once()
    assert len(api.state.registry) == 1


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_wall_clock_that_jumps_evicts_nobody(
    api: Api, clock: MockClock, step: float
) -> None:
    """Silence and time limits are counted in monotonic time, either way."""
    await join(api, beating=True)
    job_id = (await api.submit(timeout=300.0)).job.id
    api.start()
    await trio.sleep(10)
    api.clock.step(step)
    await trio.sleep(60)
    assert len(api.state.registry) == 1
    assert (await api.job(job_id)).state is State.RUNNING


async def test_a_proven_death_charges_what_may_have_begun(api: Api, clock: MockClock) -> None:
    """The dispatched job is charged; the one that was never sent is not."""
    worker = await join(api)
    sent = (await api.submit()).job.id
    worker.scripts += [worker.hang] * 20
    begun = (await api.submit()).job.id
    unsent = (await api.submit()).job.id
    worker.close()
    api.start()
    with trio.fail_after(10):
        await all_in(api, [sent, begun, unsent], State.QUEUED)
    counts = [(await api.job(job_id)).crash_count for job_id in (sent, begun, unsent)]
    assert counts == [1, 1, 0]


async def test_a_job_that_kills_again_and_again_is_quarantined(api: Api, clock: MockClock) -> None:
    """Past its crash limit it is failed, and its neighbours are not."""
    api.start()
    killer = (await api.submit()).job.id
    for life in range(3):
        worker = await join(api, f"w{life}")
        await until(lambda w=worker: bool(w.held), "the dispatch", 30)  # type: ignore[misc]
        worker.close()
        api.agents.lines.dispatcher(worker.incarnation).suspect("closed")  # type: ignore[union-attr]
        await until(lambda: not len(api.state.registry), "the death", 30)
    job = await api.job(killer)
    assert (job.state, job.crash_count) == (State.FAILED, 3)
    assert job.error is not None
    assert job.error.kind == "quarantined"


async def test_a_departed_worker_is_not_charged(api: Api, clock: MockClock) -> None:
    """What it could not report is given back at once."""
    worker = await join(api)
    job_id = (await api.submit()).job.id
    await api.agents.control.deregister(Deregistration(incarnation=worker.incarnation))
    job = await api.job(job_id)
    assert (job.state, job.crash_count, job.attempts) == (State.QUEUED, 0, 0)
    assert not await api.store.fleet.living()


async def test_an_incarnation_that_is_being_evicted_cannot_register(
    api: Api, clock: MockClock
) -> None:
    """It is told to come back as another one, while the burial is under way and after."""
    worker = await join(api)
    await api.submit()
    view = api.view(worker.incarnation)
    api.jobs.down = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: api.agents.reaper.bury(view, "a test", proven_dead=False))
        await trio.sleep(1)
        assert (await api.agents.control.register(worker.registration())).fenced
        api.jobs.down = False
    assert (await api.agents.control.register(worker.registration())).fenced
    assert not len(api.state.registry)


async def test_two_burials_of_one_worker_are_one(api: Api, clock: MockClock) -> None:
    """Silence and proof of death may come together; the job is released once."""
    worker = await join(api)
    job_id = (await api.submit()).job.id
    view = api.view(worker.incarnation)
    async with trio.open_nursery() as nursery:
        for proven in (True, False):
            nursery.start_soon(
                lambda p=proven: api.agents.reaper.bury(view, "a test", proven_dead=p)  # type: ignore[misc]
            )
    assert (await api.job(job_id)).lease == 2
    evictions = [event for event in api.state.ring.recent(50) if event.kind == "evicted"]
    assert len(evictions) == 1
    assert api.state.tally.states[State.QUEUED] == 1


async def test_a_lease_that_is_not_listed_is_released(api: Api, clock: MockClock) -> None:
    """By a heartbeat newer than the answer that gave it, and not by an older one."""
    worker = await join(api)
    job_id = (await api.submit()).job.id
    worker.held.clear()
    await worker.beat(api, number=worker.number, held=())
    assert (await api.job(job_id)).state is State.RUNNING
    worker.number -= 1
    await worker.beat(api)
    assert (await api.job(job_id)).state is State.QUEUED


async def test_what_the_store_did_not_take_is_released_later(api: Api, clock: MockClock) -> None:
    """RETRY, or a store that is away: the next heartbeat finds it again, and is answered."""
    worker = await join(api)
    job_id = (await api.submit()).job.id
    worker.held.clear()
    api.jobs.retries = 1
    await worker.beat(api)
    assert api.view(worker.incarnation).held
    api.jobs.down = True
    answer = await worker.beat(api)
    assert not answer.register_again
    api.jobs.down = False
    await worker.beat(api)
    assert (await api.job(job_id)).state is State.QUEUED


async def test_a_worker_that_does_not_end_a_job_is_overruled(api: Api, clock: MockClock) -> None:
    """At timeout and grace; it is told to cancel, and its late outcome is dropped."""
    worker = await join(api, beating=True)
    job_id = (await api.submit(timeout=10.0, max_attempts=1)).job.id
    [token] = worker.held
    api.start()
    await trio.sleep(13)
    assert (await api.job(job_id)).state is State.RUNNING
    await all_in(api, [job_id], State.FAILED)
    assert (await api.job(job_id)).error.kind == "timeout"  # type: ignore[union-attr]
    answer = await worker.beat(api)
    assert answer.cancels == (token,)
    verdicts = (await worker.report(api, worker.outcome(token))).verdicts
    assert verdicts == (Verdict.DROPPED,)
    assert api.breaches() == 0


async def test_an_outcome_that_the_store_did_not_take_stays_known(
    api: Api, clock: MockClock
) -> None:
    """Its job is held until the verdict is final: its worker's death is still its own."""
    worker = await join(api)
    await api.submit()
    [token] = worker.held
    api.jobs.retries = 1
    answer = await worker.report(api, worker.outcome(token))
    assert answer.verdicts == (Verdict.RETRY,)
    assert api.view(worker.incarnation).held
    answer = await worker.report(api, worker.outcome(token))
    assert answer.verdicts == (Verdict.RECORDED,)
    assert not api.view(worker.incarnation).held
    again = await worker.report(api, worker.outcome(token))
    assert again.verdicts == (Verdict.DROPPED,)


async def test_an_outcome_before_the_accept_answer_counts(api: Api, clock: MockClock) -> None:
    """The job was faster than the word on it; neither is the other's harm."""
    worker = await join(api)

    async def finish_first(batch):  # type: ignore[no-untyped-def]
        reply = worker.take(batch)
        [token] = worker.held
        await worker.report(api, worker.outcome(token))
        return reply

    worker.scripts.append(finish_first)
    answer = await api.submit()
    assert answer.routed == "direct"
    assert (await api.job(answer.job.id)).state is State.SUCCEEDED
    view = api.view(worker.incarnation)
    assert not view.held
    assert view.free("async") == 4


async def test_freed_slots_are_known_before_the_commit(api: Api, clock: MockClock) -> None:
    """A slot is free when the handler has ended, whatever the store is doing."""
    worker = await join(api)
    await api.submit()
    [token] = worker.held
    api.jobs.before = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.report, api, worker.outcome(token))
        await trio.sleep(1)
        assert api.view(worker.incarnation).free("async") == 4
        api.jobs.before.set()


async def test_a_cancel_reaches_the_worker_until_it_is_obeyed(api: Api, clock: MockClock) -> None:
    """In every heartbeat answer; what the worker reports then wins."""
    worker = await join(api)
    job_id = (await api.submit()).job.id
    [token] = worker.held
    await api.agents.operator.cancel(job_id)
    for _ in range(2):
        assert (await worker.beat(api)).cancels == (token,)
    await worker.report(api, worker.outcome(token))
    assert (await api.job(job_id)).state is State.SUCCEEDED
    assert (await worker.beat(api)).cancels == ()


async def test_a_cancel_of_a_job_that_memory_does_not_hold_is_delivered(
    api: Api, clock: MockClock
) -> None:
    """Its assignment was committed and not handed over when the operator came."""
    worker = await join(api, beating=True)
    committed = trio.Event()
    api.jobs.after = committed
    async with trio.open_nursery() as nursery:
        nursery.start_soon(api.submit)
        await trio.sleep(1)
        [job] = await api.store.reader.assigned("api-1")
        api.jobs.after = None
        await api.agents.operator.cancel(job.id)
        committed.set()
    await until(lambda: bool(worker.held), "the dispatch")
    api.start()
    await trio.sleep(2)
    assert (await worker.beat(api)).cancels == (job.token,)


async def test_a_cancelled_job_of_a_lost_worker_is_not_run_again(
    api: Api, clock: MockClock
) -> None:
    """A release of a job that is to be cancelled ends it."""
    await join(api)
    job_id = (await api.submit()).job.id
    await api.agents.operator.cancel(job_id)
    api.start()
    await all_in(api, [job_id], State.CANCELLED)
    assert api.state.tally.states[State.CANCELLED] == 1
    assert api.state.tally.waiting_total == 0


async def test_all_that_a_dead_worker_had_is_released_however_large_it_is(
    api: Api, clock: MockClock
) -> None:
    """A few at a time, at once."""
    large = msgspec.Raw(b'"%s"' % (b"x" * MOST_BYTES))
    jobs = [
        waiting(number, payload=large, state=State.RUNNING, lease=1, incarnation="lost")
        for number in range(5)
    ]
    await plant(api, *jobs)
    for _ in range(ORPHANS_EVERY_TICKS):
        await api.agents.reaper.run_once()
    assert {(await api.job(job.id)).state for job in jobs} == {State.QUEUED}


async def test_a_failure_of_a_job_to_be_cancelled_is_not_tried_again(
    api: Api, clock: MockClock
) -> None:
    """It ends in `cancelled`."""
    worker = await join(api)
    job_id = (await api.submit()).job.id
    [token] = worker.held
    await api.agents.operator.cancel(job_id)
    await worker.report(api, worker.outcome(token, OutcomeKind.FAILED))
    assert (await api.job(job_id)).state is State.CANCELLED


async def test_an_old_heartbeat_changes_nothing(api: Api, clock: MockClock) -> None:
    """It overtook nobody: neither slots nor leases nor fences are taken from it."""
    worker = await join(api)
    await worker.beat(api)
    await api.submit()
    await worker.beat(api, number=1, held=(), draining=True)
    view = api.view(worker.incarnation)
    assert (len(view.held), view.draining, view.free("async")) == (1, False, 3)


async def test_a_second_register_of_the_same_life_goes_on(api: Api, clock: MockClock) -> None:
    """Leases, numbers and slots stay what they were."""
    worker = await join(api)
    await api.submit()
    view = api.view(worker.incarnation)
    answer = await api.agents.control.register(worker.registration())
    assert answer.invalid == ()
    assert api.view(worker.incarnation) is view
    await worker.beat(api)
    assert (len(view.held), view.free("async"), view.batch_number) == (1, 3, 1)


async def test_leases_that_are_valid_no_longer_are_named(api: Api, clock: MockClock) -> None:
    """Unknown jobs, old leases, and what ended meanwhile."""
    worker = await join(api)
    await api.submit()
    [token] = list(worker.held)
    old = Token(token.job_id, token.lease - 1)
    worker.held |= {old: "async", Token("nobody", 1): "async"}
    answer = await api.agents.control.register(worker.registration())
    assert set(answer.invalid) == {old, Token("nobody", 1)}


async def test_a_restarted_api_takes_up_what_its_workers_hold(clock: MockClock) -> None:
    """Listed jobs run on, and are charged by their worker's death; others are queued again."""
    async with open_api() as api:
        worker = await join(api)
        kept = (await api.submit()).job.id
        lost = (await api.submit()).job.id
        store = api.store
    worker.held = {token: kind for token, kind in worker.held.items() if token.job_id == kept}
    async with open_api(store=store, boot="boot-2") as api:
        assert (await worker.beat(api)).register_again
        await worker.open(api.nursery)
        worker.number = worker.last_batch = 0
        await worker.join(api)
        assert (await api.job(lost)).state is State.QUEUED
        view = api.view(worker.incarnation)
        assert [held.job.id for held in view.held.values()] == [kept]
        await api.agents.reaper.bury(view, "a test", proven_dead=True)
        assert [(await api.job(job_id)).crash_count for job_id in (kept, lost)] == [1, 0]


async def test_a_restarted_api_gives_back_what_nobody_comes_for(clock: MockClock) -> None:
    """After the TTL from its own start, and without keeping the jobs in mind."""
    async with open_api() as api:
        worker = await join(api)
        job_id = (await api.submit()).job.id
        store = api.store
    async with open_api(store=store, boot="boot-2") as api:
        api.start()
        await trio.sleep(TTL - 3)
        assert (await api.job(job_id)).state is State.RUNNING
        await all_in(api, [job_id], State.QUEUED)
        assert not api.agents.reaper.earlier(worker.incarnation)


async def test_an_outcome_of_an_earlier_life_is_recorded(clock: MockClock) -> None:
    """Before the worker has registered again, too."""
    async with open_api() as api:
        worker = await join(api)
        job_id = (await api.submit()).job.id
        store = api.store
    async with open_api(store=store, boot="boot-2") as api:
        [token] = list(worker.held)
        answer = await worker.report(api, worker.outcome(token))
        assert (answer.verdicts, answer.register_again) == ((Verdict.RECORDED,), True)
        worker.held.clear()
        await worker.open(api.nursery)
        worker.number = worker.last_batch = 0
        await worker.join(api)
        assert not api.view(worker.incarnation).held
        assert (await api.job(job_id)).state is State.SUCCEEDED


@pytest.mark.parametrize("address", ["nowhere", "ümlaut:80", ":80", "host:port", "host:99999"])
async def test_an_address_that_is_none_is_refused(api: Api, clock: MockClock, address: str) -> None:
    """And leaves no trace in the registry."""
    worker = ScriptedWorker()
    registration = msgspec.structs.replace(worker.registration(), address=address)
    with pytest.raises(InvalidValue, match="dispatch address"):
        await api.agents.control.register(registration)
    assert not len(api.state.registry)


async def test_two_streams_end_as_one(api: Api, clock: MockClock) -> None:
    """A worker that has opened its next stream before the first was seen to end is not suspect."""
    worker = await join(api)
    control = api.agents.control
    dispatcher = api.agents.lines.dispatcher(worker.incarnation)
    assert dispatcher is not None
    async with control.pokes(worker.incarnation):
        async with control.pokes(worker.incarnation):
            pass
        assert dispatcher.stream_open
        assert api.view(worker.incarnation).routable
    assert not dispatcher.stream_open
    assert not api.view(worker.incarnation).routable


async def test_heartbeats_are_passed_on_to_the_store_together(api: Api, clock: MockClock) -> None:
    """So that no other api takes a worker for silent; not at every tick, which would cost."""
    worker = await join(api)
    before = (await api.state.fleet.living())[0].last_seen
    liveness = api.state.config.liveness
    await trio.sleep(liveness.heartbeat_seconds)
    await worker.beat(api)
    await api.agents.reaper.run_once()
    assert (await api.state.fleet.living())[0].last_seen == before
    assert liveness.heartbeat_seconds + period_seconds(liveness) < liveness.ttl_seconds
    await api.agents.adopter.run_once()
    assert (await api.state.fleet.living())[0].last_seen > before
