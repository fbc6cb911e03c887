"""Waiting jobs: who is fed first, and that nobody is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agents.scripted import ScriptedWorker
from agents.world import Api, all_in, open_api, until
from hermesd.api.feed import MAX_ROUND, RECONCILE_SECONDS
from hermesd.api.readahead import MOST, MOST_BYTES
from hermesd.api.reap import ORPHANS_EVERY_TICKS
from hermesd.core.errors import OutcomeUnknown
from hermesd.core.job import Job, Owner
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import IdempotencyKey, Submission, Waiting
from hermesd.core.states import State


async def join(api: Api, slots: int, name: str = "w1") -> ScriptedWorker:
    """A worker with so many async slots."""
    worker = ScriptedWorker(name, slots={"async": slots, "thread": 1, "process": 0})
    await worker.open(api.nursery)
    await worker.join(api)
    worker.keep_beating(api)
    return worker


async def plant(api: Api, *jobs: Job) -> None:
    """Put jobs into the store behind the api's back."""
    keys: tuple[IdempotencyKey | None, ...] = (None,) * len(jobs)
    await api.store.jobs.insert(Submission(jobs=jobs, keys=keys))


def waiting(number: int, **members: object) -> Job:
    """A queued job."""
    job = Job(id=f"j{number}", type="note", payload=msgspec.Raw(b"{}"))
    return msgspec.structs.replace(job, **members)


async def test_the_most_urgent_is_fed_first_then_the_oldest(api: Api, clock: MockClock) -> None:
    """Over all types of a queue."""
    low = await api.submit(priority=0)
    old = await api.submit("chime", priority=7)
    new = await api.submit(priority=7)
    worker = await join(api, 2)
    assert await api.agents.feeder.run_once() == 2
    await until(lambda: len(worker.held) == 2, "the dispatch")
    assert {token.job_id for token in worker.held} == {old.job.id, new.job.id}
    assert (await api.job(low.job.id)).state is State.QUEUED


async def test_suspects_do_not_keep_others_waiting(clock: MockClock) -> None:
    """Only one of them may be at a worker; what is behind them in the queue goes past."""
    async with open_api() as api:
        suspects = [waiting(number, crash_count=2, priority=10) for number in range(5)]
        await plant(api, *suspects, waiting(8), waiting(9))
        api.state.tally.reset(await api.store.reader.counts())
        worker = await join(api, 3)
        api.start()
        await until(lambda: len(worker.held) == 3, "all slots to be used")
        held = {token.job_id for token in worker.held}
        assert len(held & {job.id for job in suspects}) == 1
        assert {"j8", "j9"} < held


async def test_a_job_that_memory_does_not_know_is_found(api: Api, clock: MockClock) -> None:
    """What waits in the store is fed, whatever the counts say."""
    worker = await join(api, 2)
    api.start()
    await plant(api, waiting(1))
    await until(lambda: bool(worker.held), "the job to be found", RECONCILE_SECONDS + 10)


async def test_a_submit_of_unknown_fate_is_run(api: Api, clock: MockClock) -> None:
    """The client was told that nobody knows; the store knows."""
    api.jobs.unknown = 1
    with pytest.raises(OutcomeUnknown):
        await api.submit()
    worker = await join(api, 2)
    api.start()
    await until(lambda: bool(worker.held), "the job to be found", RECONCILE_SECONDS + 10)


async def test_a_direct_submit_of_unknown_fate_is_run(api: Api, clock: MockClock) -> None:
    """It is running by the store, and nobody has sent it."""
    worker = await join(api, 2)
    api.start()
    api.jobs.unknown = 1
    with pytest.raises(OutcomeUnknown):
        await api.submit()
    await trio.sleep(2)
    await worker.beat(api)
    await until(lambda: bool(worker.held), "the job to be sent", 20)
    assert api.view(worker.incarnation).free("async") == 1


async def test_phantoms_are_forgotten(api: Api, clock: MockClock) -> None:
    """A job that waits by the counts only does not send submits behind it for ever."""
    worker = await join(api, 2)
    api.state.tally.entered(waiting(1))
    api.start()
    await until(lambda: not api.state.tally.waiting_total, "the counts to be right")
    answer = await api.submit()
    assert answer.routed == "direct"
    assert worker.held


async def test_a_reconciliation_does_not_lose_what_came_meanwhile(
    api: Api, clock: MockClock
) -> None:
    """Counts that were outdated when they came change nothing that is counted."""
    mark = api.state.tally.changes.mark()
    outdated = await api.store.reader.counts()
    await api.submit()
    api.state.tally.reconcile(outdated, api.state.tally.changes.since(mark))
    assert api.state.tally.waiting_total == 1


async def test_outcomes_during_a_reconciliation_are_counted_once(
    api: Api, clock: MockClock
) -> None:
    """Whether the store's counts, which are read meanwhile, have them or not."""
    for late in (False, True):
        job = waiting(int(late), state=State.RUNNING, lease=1, incarnation="w.1")
        await plant(api, job)
        api.state.tally.reset(await api.store.reader.counts())
        outcome = Outcome(token=job.token, kind=OutcomeKind.SUCCEEDED, result=b"1")
        mark = api.state.tally.changes.mark()
        counts = await api.store.reader.counts()
        await api.agents.recorder.record(None, [outcome])
        if late:
            counts = await api.store.reader.counts()
        api.state.tally.reconcile(counts, api.state.tally.changes.since(mark))
        assert api.state.tally.states[State.RUNNING] == 0
        assert api.state.tally.states[State.SUCCEEDED] == 1 + late


async def test_a_store_that_is_away_is_asked_now_and_then(api: Api, clock: MockClock) -> None:
    """Neither a spin nor an end."""
    worker = await join(api, 2)
    await plant(api, waiting(1))
    api.state.tally.reset(await api.store.reader.counts())
    api.jobs.down = True
    api.start()
    before = api.jobs.calls
    await trio.sleep(60)
    assert api.jobs.calls - before < 600
    api.jobs.down = False
    await until(lambda: bool(worker.held), "the job to be fed")


async def test_jobs_that_cannot_be_placed_make_no_spin(api: Api, clock: MockClock) -> None:
    """Suspects that wait for each other are looked at now and then."""
    suspects = [waiting(number, crash_count=2) for number in range(3)]
    await plant(api, *suspects)
    api.state.tally.reset(await api.store.reader.counts())
    worker = await join(api, 3)
    api.start()
    await until(lambda: len(worker.held) == 1, "the first")
    before = api.jobs.calls
    await trio.sleep(60)
    assert api.jobs.calls - before < 300


async def test_one_suspect_after_the_other_runs(api: Api, clock: MockClock) -> None:
    """Each gets its turn when the one before has ended."""
    suspects = [waiting(number, crash_count=2) for number in range(3)]
    await plant(api, *suspects)
    api.state.tally.reset(await api.store.reader.counts())
    worker = await join(api, 3)
    api.start()
    for _ in suspects:
        await until(lambda: len(worker.held) == 1, "the next suspect", 20)
        [token] = worker.held
        await worker.report(api, worker.outcome(token))
    await all_in(api, [job.id for job in suspects], State.SUCCEEDED)


async def test_a_submit_does_not_wait_behind_what_no_worker_serves(
    clock: MockClock,
) -> None:
    """A job whose type has workers, but none for its queue, is overtaken by nobody."""
    async with open_api({"queues": {"mail": {}}}) as api:
        other = ScriptedWorker("w2")
        other.queues = ("mail",)
        other.types = other.types[1:]
        await other.open(api.nursery)
        await other.join(api)
        worker = ScriptedWorker("w1")
        worker.types = worker.types[:1]
        await worker.open(api.nursery)
        await worker.join(api)
        stuck = await api.submit("chime")
        assert stuck.routed == "queue"
        answer = await api.submit("note")
        assert answer.routed == "direct"


async def test_a_submit_waits_behind_its_equals(api: Api, clock: MockClock) -> None:
    """What is as urgent and came before goes first; what is more urgent need not wait."""
    await api.submit()
    worker = await join(api, 2)
    behind = await api.submit()
    assert (behind.routed, behind.note) == ("queue", "queued behind waiting jobs of queue default")
    urgent = await api.submit(priority=10)
    assert urgent.routed == "direct"
    assert len(worker.held) == 1


async def test_an_outage_is_told_once_and_so_is_its_end(api: Api, clock: MockClock) -> None:
    """Each agent says it twice, however long it lasts."""
    worker = await join(api, 2)
    await plant(api, waiting(1))
    api.state.tally.reset(await api.store.reader.counts())
    with structlog.testing.capture_logs() as logs:
        api.jobs.down = True
        api.start()
        await trio.sleep(30)
        api.jobs.down = False
        await until(lambda: bool(worker.held), "the job to be fed")
        await trio.sleep(10)
    told = [line["event"] for line in logs]
    for trouble, relief in (
        ("cannot feed waiting jobs", "feeding waiting jobs again"),
        ("cannot release due jobs", "releasing due jobs again"),
        ("cannot rescue yet", "rescuing again"),
    ):
        assert (told.count(trouble), told.count(relief)) == (1, 1)


async def test_cancelled_heads_do_not_hold_up_what_stands_behind_them(
    api: Api, clock: MockClock
) -> None:
    """What was read ahead may be gone: the next is offered in the next round, not later."""
    ids = [(await api.submit()).job.id for _ in range(3)]
    worker = await join(api, 1)
    wanted = Waiting(pairs=(("default", "note"),), limit=10, most_bytes=1000)
    assert len((await api.jobs.waiting(wanted)).jobs) == 3
    api.jobs.before = trio.Event()
    api.nursery.start_soon(api.agents.feeder.run)
    await trio.sleep(0.1)
    for job_id in ids[:2]:
        await api.store.jobs.cancel(job_id)
    api.jobs.before.set()
    await until(lambda: bool(worker.held), "the third", 2)
    assert [token.job_id for token in worker.held] == [ids[2]]


async def test_what_submits_queued_is_not_read_back(api: Api, clock: MockClock) -> None:
    """It is known in memory, in the right order."""
    low = await api.submit(priority=0)
    await api.submit("chime")
    await api.submit()
    worker = await join(api, 2)
    before = api.jobs.calls
    assert await api.agents.feeder.run_once() == 2
    assert api.jobs.calls - before == 1
    await until(lambda: len(worker.held) == 2, "the dispatch")
    assert low.job.id not in {token.job_id for token in worker.held}


async def test_a_job_behind_the_apis_back_has_its_place(api: Api, clock: MockClock) -> None:
    """Once it is counted, the line in memory is no longer taken for all that wait."""
    await api.submit()
    await plant(api, waiting(1, enqueued_at=9e9))
    worker = await join(api, 2)
    api.start()
    await until(lambda: len(worker.held) == 2, "both jobs", RECONCILE_SECONDS + 10)


async def test_what_falls_due_stands_behind_what_waits(api: Api, clock: MockClock) -> None:
    """And before what is submitted later."""
    late = waiting(1, state=State.SCHEDULED, owner=Owner.TIMER, run_at=api.clock.utc() + 5)
    await plant(api, late)
    first = await api.submit()
    await trio.sleep(6)
    await api.agents.timer.run_once()
    await api.submit()
    worker = await join(api, 2)
    before = api.jobs.calls
    assert await api.agents.feeder.run_once() == 2
    assert api.jobs.calls - before == 1
    await until(lambda: len(worker.held) == 2, "the dispatch")
    assert {token.job_id for token in worker.held} == {first.job.id, late.id}


async def test_a_job_that_came_back_goes_first(api: Api, clock: MockClock) -> None:
    """It has its old place, before all that came after it."""
    old = await api.submit()
    worker = await join(api, 1)
    assert await api.agents.feeder.run_once() == 1
    await until(lambda: len(worker.held) == 1, "the dispatch")
    for _ in range(3):
        await api.submit()
    await api.agents.reaper.bury(api.view(worker.incarnation), "a test", proven_dead=False)
    other = await join(api, 1, "w2")
    assert await api.agents.feeder.run_once() == 1
    await until(lambda: len(other.held) == 1, "the dispatch")
    assert [token.job_id for token in other.held] == [old.job.id]


async def test_jobs_for_all_slots_go_out_in_few_batches(api: Api, clock: MockClock) -> None:
    """Worker by worker: in the end all are full, whoever was first."""
    for _ in range(70):
        await api.submit()
    workers = [await join(api, 32, f"w{number}") for number in range(2)]
    assert await api.agents.feeder.run_once() == 64
    await until(lambda: all(len(w.held) == 32 for w in workers), "the dispatch")
    assert [api.view(w.incarnation).batch_number for w in workers] == [1, 1]


async def test_a_look_for_lost_jobs_that_finds_none_leaves_what_is_known(
    api: Api, clock: MockClock
) -> None:
    """Nothing came back, so nothing has to be read back."""
    for _ in range(3):
        await api.submit()
    for _ in range(ORPHANS_EVERY_TICKS):
        await api.agents.reaper.run_once()
    await join(api, 1)
    before = api.jobs.calls
    assert await api.agents.feeder.run_once() == 1
    assert api.jobs.calls - before == 1


async def test_what_stands_behind_is_read_while_the_store_commits(
    api: Api, clock: MockClock
) -> None:
    """Not the jobs that are being given out, although the store says that they wait still."""
    await plant(api, *(waiting(number) for number in range(MOST + MAX_ROUND + 100)))
    api.state.tally.reset(await api.store.reader.counts())
    worker = await join(api, MOST + MAX_ROUND)
    for _ in range(MOST // MAX_ROUND - 1):
        assert await api.agents.feeder.run_once() == MAX_ROUND
    api.jobs.before = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(api.agents.feeder.run_once)
        await until(lambda: known(api) == MAX_ROUND + 100, "the reading")
        api.jobs.before.set()
    assert known(api) == MAX_ROUND + 100
    before = api.jobs.calls
    assert await api.agents.feeder.run_once() == MAX_ROUND
    assert api.jobs.calls - before == 1
    await until(lambda: len(worker.held) == MOST + MAX_ROUND, "the dispatch")


async def test_large_jobs_are_read_a_few_at_a_time(api: Api, clock: MockClock) -> None:
    """And all are given out, though one reading brings none but those that are under way."""
    large = msgspec.Raw(b'"%s"' % (b"x" * (MOST_BYTES // 4)))
    await plant(api, *(waiting(number, payload=large) for number in range(10)))
    await plant(api, waiting(10))
    api.state.tally.reset(await api.store.reader.counts())
    worker = await join(api, 11)
    api.jobs.before = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(api.agents.feeder.run_once)
        await wait_all_tasks_blocked()
        assert known(api) == 0
        api.jobs.before.set()
    await until(lambda: len(worker.held) == 3, "the first")
    api.start()
    await until(lambda: len(worker.held) == 11, "all jobs")


async def test_what_was_read_meanwhile_does_not_hide_what_was_not_given_out(
    api: Api, clock: MockClock
) -> None:
    """The store fails while it commits: the jobs of that round wait, and are the first again."""
    await plant(api, *(waiting(number) for number in range(MOST + 5)))
    api.state.tally.reset(await api.store.reader.counts())
    worker = await join(api, MOST + 5)
    for _ in range(MOST // MAX_ROUND - 1):
        assert await api.agents.feeder.run_once() == MAX_ROUND
    api.jobs.after = trio.Event()
    api.jobs.unknown = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, api)
        await until(lambda: known(api) == 5, "the reading")
        api.jobs.after.set()
    assert known(api) == 0
    api.start()
    await until(lambda: len(worker.held) == MOST + 5, "all jobs")


def known(api: Api) -> int:
    """How many waiting jobs are known in memory."""
    line = api.state.ahead.line(("default", "note", 3))
    return 0 if line is None else len(line.jobs)


async def fails(api: Api) -> None:
    """A round whose commit has an unknown fate."""
    with pytest.raises(OutcomeUnknown):
        await api.agents.feeder.run_once()


async def test_where_jobs_go_one_at_a_time_not_each_has_its_reading(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a line that another api has a share in, which is therefore never known whole."""
    async with open_api() as api:
        api.state.neighbours.heard("api-2", "b", api.state.clock.monotonic())
        await plant(api, *[waiting(number, enqueued_at=1.0) for number in range(100)])
        api.state.tally.reset(await api.store.reader.counts())
        worker = await join(api, 1)
        take, readings = api.state.queue.take, 0

        async def counted(wanted: Waiting) -> Sequence[Job]:
            nonlocal readings
            readings += 1
            return await take(wanted)

        monkeypatch.setattr(api.state.queue, "take", counted)
        for _ in range(20):
            assert await api.agents.feeder.run_once() == 1
            await until(lambda: len(worker.held) == 1, "the dispatch")
            await worker.report(api, *[worker.outcome(token) for token in list(worker.held)])
            await worker.beat(api)
        assert readings <= 2
