"""One dispatch path: batches, refusals, lost answers, fences, deaths."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from agents.scripted import Reply, Script, ScriptedWorker
from agents.world import until
from hermesd.api.acceptance import Acceptances, Sending, Waiter
from hermesd.api.dispatch import Dispatcher
from hermesd.api.posting import DispatchTerms
from hermesd.clock import TrioClock
from hermesd.core.breaker import Breaker
from hermesd.core.fleet import Acceptance, DispatchBatch
from hermesd.core.job import Job
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView


class Findings:
    """DispatchHooks that keep what they are told; refused jobs are taken from the worker."""

    def __init__(self) -> None:
        self.refusals: list[tuple[list[str], str]] = []
        self.batches_of_refused: list[int] = []
        self.deaths: list[str] = []
        self.reasons: list[str] = []
        self.poked = 0
        self.answered = 0

    async def refused(self, view: WorkerView, sendings: Sequence[Sending], reason: str) -> None:
        """See DispatchHooks."""
        await trio.lowlevel.checkpoint()
        self.refusals.append(([s.held.job.id for s in sendings], reason))
        self.batches_of_refused += [s.held.batch for s in sendings]
        for sending in sendings:
            view.drop(sending.held.job.id, sending.held.job.lease)

    def dead(self, view: WorkerView, evidence: str) -> None:
        """See DispatchHooks."""
        self.deaths.append(evidence)

    def routable(self, view: WorkerView) -> None:
        """See DispatchHooks."""

    def unroutable(self, view: WorkerView, reason: str) -> None:
        """See DispatchHooks."""
        self.reasons.append(reason)

    def poke(self, view: WorkerView) -> None:
        """See DispatchHooks."""
        self.poked += 1

    def dispatched(self, view: WorkerView, jobs: int, seconds: float) -> None:
        """See DispatchHooks."""
        self.answered += jobs


class Path:
    """A dispatcher, its worker, and what came of it."""

    def __init__(self, worker: ScriptedWorker, address: str):
        self.worker = worker
        registration = msgspec.structs.replace(worker.registration(), address=address)
        clock = TrioClock()
        breaker = Breaker(clock.monotonic(), min_backoff_seconds=0.5, max_backoff_seconds=5.0)
        self.view = WorkerView(registration, breaker, clock.monotonic(), clock.utc())
        self.view.apply_view(worker.view())
        self.findings = Findings()
        terms = DispatchTerms(api_name="api-1", api_boot="boot-1", store_id="s")
        self.dispatcher = Dispatcher(self.view, terms, clock, self.findings, structlog.get_logger())
        self.meanwhile: Callable[[], object] = lambda: None  # of `carry`
        self._count = 0

    def send(self, number: int = 1, waiter: Waiter | None = None) -> list[Held]:
        """Assign jobs to the worker, and hand them to the dispatcher."""
        return [self._send(waiter) for _ in range(number)]

    async def opened(self) -> None:
        """Wait until the path is routable."""
        await until(lambda: self.view.breaker.closed, "the path to open")

    def list_held(self) -> None:
        """A heartbeat arrives in which the worker has obeyed the fence."""
        self.worker.fence = self.view.fence_batch
        self.view.heartbeat_number += 1
        self.dispatcher.fenced(self.worker.fence, frozenset(self.worker.held))

    async def carry(self, waiter: Waiter, seconds: float = 5.0) -> bool:
        """Assign a job to the worker, and have this task send it."""
        held = self.assigned()
        if not self.dispatcher.free:
            self.view.unreserve(held)
            return False
        await self.dispatcher.carry(held, waiter, seconds, self.meanwhile)
        return True

    def _send(self, waiter: Waiter | None) -> Held:
        held = self.assigned()
        self.dispatcher.send(held, waiter)
        return held

    def assigned(self) -> Held:
        """One more job of the worker's."""
        self._count += 1
        job = Job(
            id=f"j{self._count}",
            type="note",
            payload=msgspec.Raw(b"{}"),
            state=State.RUNNING,
            lease=1,
            attempts=1,
        )
        held = Held(job, "async", float("inf"))
        self.view.reserve(held, self._count)
        self.view.hold(held)
        return held


def taking_after(worker: ScriptedWorker, word: trio.Event) -> Script:
    """A script: the batch is taken when the test says so."""

    async def take(batch: DispatchBatch) -> Reply:
        await word.wait()
        return worker.take(batch)

    return take


@asynccontextmanager
async def open_path(
    worker: ScriptedWorker | None = None, address: str | None = None
) -> AsyncIterator[Path]:
    """A running dispatcher to a scripted worker, or to another address."""
    async with trio.open_nursery() as nursery:
        worker = worker or ScriptedWorker()
        await worker.open(nursery)
        path = Path(worker, address or worker.address)
        nursery.start_soon(path.dispatcher.run)
        yield path
        nursery.cancel_scope.cancel()


@pytest.fixture
async def path(clock: MockClock) -> AsyncIterator[Path]:
    """A path that is open."""
    async with open_path() as opened:
        await opened.opened()
        yield opened


async def test_a_probe_makes_a_worker_routable(path: Path, clock: MockClock) -> None:
    """A fresh worker gets nothing before its address has answered."""
    assert path.worker.probes == 1
    assert path.view.routable


async def test_jobs_that_pile_up_share_the_next_batch(path: Path, clock: MockClock) -> None:
    """One POST is under way at a time."""
    path.send()
    await until(lambda: path.view.batch_number == 1, "the first batch")
    path.send(3)
    await path.dispatcher.idle()
    assert [len(batch.jobs) for batch in path.worker.batches] == [1, 3]
    assert [batch.number for batch in path.worker.batches] == [1, 2]
    assert path.view.free("async") == 0


async def test_a_full_worker_gets_nothing_before_its_next_view(
    path: Path, clock: MockClock
) -> None:
    """Else a worker that refuses in spite of a free slot would be asked for ever."""

    async def refuse(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.FULL] * len(batch.jobs))

    path.worker.scripts.append(refuse)
    path.send(2)
    await path.dispatcher.idle()
    assert path.findings.refusals == [(["j1", "j2"], "the worker says: full")]
    assert path.view.free("async") <= 0
    path.view.apply_view(path.worker.view())
    assert path.view.free("async") == 4


async def test_the_reason_names_the_refusing_words_only(path: Path, clock: MockClock) -> None:
    """What was accepted after a refused job is no reason."""

    async def refuse_first(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.FULL, Acceptance.ACCEPTED])

    path.worker.scripts.append(refuse_first)
    path.send(2)
    await path.dispatcher.idle()
    assert path.findings.refusals == [(["j1"], "the worker says: full")]


async def test_a_draining_worker_is_unrouted_at_once(path: Path, clock: MockClock) -> None:
    """Its word is enough; its heartbeat may come later."""

    async def refuse(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.DRAINING])

    path.worker.scripts.append(refuse)
    path.send()
    await path.dispatcher.idle()
    assert not path.view.routable


async def test_an_answer_about_another_batch_is_no_answer(path: Path, clock: MockClock) -> None:
    """A confused worker costs a delay, neither a job nor the api."""

    async def confused(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.ACCEPTED] * 7)

    async def late(batch: DispatchBatch) -> Reply:
        answer = path.worker.take(batch)
        return msgspec.structs.replace(answer, number=99)

    path.worker.scripts += [confused, late]
    held = path.send(2)
    await until(lambda: len(path.worker.batches) == 2, "both wrong answers")
    path.list_held()
    await path.dispatcher.idle()
    assert [h.accepted_number is not None for h in held] == [True, True]
    assert not path.findings.refusals


async def test_an_unanswered_batch_is_repeated_under_its_number(
    path: Path, clock: MockClock
) -> None:
    """The worker gives the answer that it gave, and nothing is sent twice."""

    async def again(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.ACCEPTED])

    path.worker.scripts += [path.worker.take_and_hang, again]
    waiter = Acceptances().expect()
    [held] = path.send(1, waiter)
    await until(lambda: held.accepted_number is not None, "the repeated answer")
    assert [batch.number for batch in path.worker.batches] == [1, 1]
    assert path.worker.batches[0] == path.worker.batches[1]
    assert (path.view.fence_batch, path.view.breaker.closed) == (0, True)
    assert path.view.free("async") == 3
    assert waiter.note == "committed; the worker has not answered yet"


async def test_a_fenced_worker_says_what_it_holds(path: Path, clock: MockClock) -> None:
    """What it lists is accepted, the rest goes elsewhere, and is not charged to it."""

    async def take_one_and_hang(batch: DispatchBatch) -> Reply:
        path.worker.take(msgspec.structs.replace(batch, jobs=batch.jobs[:1]))
        return await path.worker.hang(batch)

    path.worker.scripts += [take_one_and_hang, *[path.worker.hang] * 20]
    first, second = path.send(2)
    await until(lambda: path.view.fence_batch == 1, "the fence")
    assert path.findings.poked == 1
    path.view.apply_view(path.worker.view())
    path.list_held()
    await until(lambda: bool(path.findings.refusals), "the refusal")
    assert path.findings.refusals == [(["j2"], "the worker never got it")]
    assert (first.accepted_number, second.accepted_number) == (1, None)
    assert (first.batch, second.batch) == (1, 0)
    assert path.view.free("async") == 3


async def test_an_old_fence_answers_nothing(path: Path, clock: MockClock) -> None:
    """Only a heartbeat that obeyed this fence says where the batch is."""
    path.worker.scripts += [path.worker.hang] * 20
    path.send(1)
    await until(lambda: path.view.fence_batch == 1, "the fence")
    path.dispatcher.fenced(0, frozenset())
    await trio.sleep(3)
    assert not path.findings.refusals


async def test_what_was_not_sent_does_not_wait_for_what_is_unanswered(
    path: Path, clock: MockClock
) -> None:
    """Jobs behind an unanswered batch go elsewhere at once."""
    path.worker.scripts += [path.worker.hang] * 20
    began = trio.current_time()
    path.send(1)
    await until(lambda: bool(path.worker.batches), "the first batch")
    path.send(2)
    await until(lambda: bool(path.findings.refusals), "the others to go elsewhere")
    assert path.findings.refusals[0][0] == ["j2", "j3"]
    assert path.view.fence_batch == 1
    assert trio.current_time() - began < 3


async def test_a_dead_process_is_noticed_in_a_second_or_two(path: Path, clock: MockClock) -> None:
    """Two refusals apart, with the stream closed; nothing was begun, so nothing is charged."""
    began = trio.current_time()
    path.worker.close()
    path.dispatcher.suspect("its control stream is closed")
    path.send(1)
    await until(lambda: bool(path.findings.deaths), "the death")
    assert trio.current_time() - began < 2
    assert path.findings.batches_of_refused == [0]


async def test_a_path_that_was_bad_for_long_proves_a_death_as_fast(
    path: Path, clock: MockClock
) -> None:
    """The probe's backoff has grown; the second refusal is asked for all the same."""
    path.dispatcher.stream_open = True
    path.worker.close()
    path.dispatcher.suspect("blocked")
    await trio.sleep(60)
    path.view.heard(trio.current_time(), 0.0)
    path.dispatcher.stream_open = False
    began = trio.current_time()
    path.dispatcher.suspect("its control stream is closed")
    await until(lambda: bool(path.findings.deaths), "the death")
    assert trio.current_time() - began < 2


async def test_an_open_stream_speaks_against_death(path: Path, clock: MockClock) -> None:
    """A refused address alone is a broken path."""
    path.dispatcher.stream_open = True
    path.worker.close()
    path.dispatcher.suspect("something")
    await trio.sleep(30)
    assert not path.findings.deaths
    assert not path.view.routable


async def test_a_heartbeat_between_refusals_speaks_against_death(
    path: Path, clock: MockClock
) -> None:
    """Only silence between the two counts."""
    path.worker.close()
    path.dispatcher.suspect("something")
    for _ in range(100):
        await trio.sleep(0.3)
        path.view.heard(trio.current_time(), 0.0)
    assert not path.findings.deaths


async def test_another_incarnation_proves_a_death_and_begins_nothing(
    path: Path, clock: MockClock
) -> None:
    """It refuses the whole batch, which is therefore not charged."""

    async def refuse(batch: DispatchBatch) -> Reply:
        return path.worker.who("w1.2")

    path.worker.scripts.append(refuse)
    path.send(2)
    await until(lambda: bool(path.findings.refusals), "the refusal")
    assert path.findings.deaths
    assert path.findings.batches_of_refused == [0, 0]


async def test_a_refused_request_was_not_taken(path: Path, clock: MockClock) -> None:
    """A limit, or a stranger at the address: the jobs go on at once."""

    async def too_large(batch: DispatchBatch) -> Reply:
        return 413

    path.worker.scripts.append(too_large)
    path.send(1)
    await until(lambda: bool(path.findings.refusals), "the refusal")
    assert path.findings.refusals == [(["j1"], "status 413")]
    assert path.view.fence_batch == 0


async def test_a_server_error_says_nothing_of_the_batch(path: Path, clock: MockClock) -> None:
    """It may have been taken: it is repeated."""

    async def broken(batch: DispatchBatch) -> Reply:
        return 500

    path.worker.scripts.append(broken)
    [held] = path.send(1)
    await until(lambda: held.accepted_number is not None, "the second try")
    assert len(path.worker.batches) == 2


async def test_what_was_settled_in_the_outbox_is_not_sent(path: Path, clock: MockClock) -> None:
    """Its lease is over: nobody wants it run, and its slot is free."""
    path.send(1)
    await until(lambda: path.view.batch_number == 1, "the first batch")
    overruled, wanted = path.send(2)
    path.view.drop(overruled.job.id, overruled.job.lease)
    await path.dispatcher.idle()
    assert [item.id for item in path.worker.batches[-1].jobs] == [wanted.job.id]
    assert path.view.free("async") == 2


@pytest.mark.parametrize("address", ["a..b:80", f"{'x' * 64}:80", "127.0.0.1:1", "[::1]:1"])
async def test_an_address_that_cannot_be_dialled_harms_nobody(
    address: str, clock: MockClock
) -> None:
    """Whatever a worker registers, its dispatcher goes on probing."""
    async with open_path(address=address) as path:
        with trio.move_on_after(10):
            await path.opened()
        assert not path.view.routable
        assert path.view.breaker.reason


async def test_an_idle_path_lends_itself(path: Path, clock: MockClock) -> None:
    """The task that has the job sends it and hears the word; then the path is as before."""
    waiter = Acceptances().expect()
    assert await path.carry(waiter)
    assert (waiter.told, waiter.worker_id) == (True, "w1")
    await path.dispatcher.idle()
    path.send(2)
    await path.dispatcher.idle()
    assert await path.carry(Acceptances().expect())
    assert [(post.number, len(post.jobs)) for post in path.worker.batches] == [
        (1, 1),
        (2, 2),
        (3, 1),
    ]
    assert (path.findings.answered, path.view.free("async")) == (4, 0)


async def test_a_job_is_out_before_its_carrier_does_anything_else(
    path: Path, clock: MockClock
) -> None:
    """And what the carrier does then, it does before any other task runs, the worker's too."""
    waiter = Acceptances().expect()
    found: list[tuple[int, bool, bool]] = []
    path.meanwhile = lambda: found.append(
        (path.view.batch_number, path.dispatcher.free, waiter.told)
    )
    assert await path.carry(waiter)
    assert (found, waiter.told) == ([(1, False, False)], True)


async def test_a_carrier_that_breaks_leaves_the_rest_to_the_path(
    path: Path, clock: MockClock
) -> None:
    """Its job is out, and is not sent twice."""

    def fail() -> None:
        raise RuntimeError("a defect")

    waiter, path.meanwhile = Acceptances().expect(), fail
    with pytest.raises(RuntimeError, match="a defect"):
        await path.carry(waiter)
    await path.dispatcher.idle()
    assert (waiter.worker_id, len(path.worker.batches)) == ("w1", 1)


async def test_a_path_with_something_to_do_is_not_lent(path: Path, clock: MockClock) -> None:
    """Be it its own, in another's hands, or a probe."""
    word = trio.Event()
    path.worker.scripts.append(taking_after(path.worker, word))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(path.carry, Acceptances().expect())
        await until(lambda: path.view.batch_number == 1, "the loan")
        assert not await path.carry(Acceptances().expect())
        path.send()
        assert not await path.carry(Acceptances().expect())
        word.set()
    await path.dispatcher.idle()
    path.dispatcher.suspect("something")
    assert not await path.carry(Acceptances().expect())
    assert [len(post.jobs) for post in path.worker.batches] == [1, 1]
    assert path.view.free("async") == 2


async def test_a_late_word_on_a_carried_job_is_heard(path: Path, clock: MockClock) -> None:
    """The task goes on after its time; the path waits for the rest of its own, and only waits."""
    word = trio.Event()
    path.worker.scripts.append(taking_after(path.worker, word))
    waiter = Acceptances().expect()
    began = trio.current_time()
    assert await path.carry(waiter, 0.2)
    assert trio.current_time() - began == pytest.approx(0.2, abs=0.01)
    assert not waiter.told
    word.set()
    await path.dispatcher.idle()
    assert (waiter.worker_id, len(path.worker.batches)) == ("w1", 1)


async def test_an_unanswered_carried_job_is_repeated(path: Path, clock: MockClock) -> None:
    """After the same time and under its number, as any batch is."""

    async def again(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.ACCEPTED])

    path.worker.scripts += [path.worker.take_and_hang, again]
    began = trio.current_time()
    assert await path.carry(Acceptances().expect(), 5.0)
    assert trio.current_time() - began == pytest.approx(1.0, abs=0.01)
    await path.dispatcher.idle()
    assert [post.number for post in path.worker.batches] == [1, 1]
    assert (path.view.fence_batch, path.view.breaker.closed) == (0, True)


async def test_what_is_not_plainly_accepted_goes_its_usual_way(
    path: Path, clock: MockClock
) -> None:
    """A refusal, the word of another process, an answer about another batch."""

    async def full(batch: DispatchBatch) -> Reply:
        return path.worker.answer(batch, [Acceptance.FULL])

    async def wrong(batch: DispatchBatch) -> Reply:
        path.worker.take(batch)
        return path.worker.answer(batch, [Acceptance.ACCEPTED] * 7)

    async def another(batch: DispatchBatch) -> Reply:
        return path.worker.who("w1.2")

    path.worker.scripts.append(full)
    assert await path.carry(Acceptances().expect())
    await path.dispatcher.idle()
    assert path.findings.refusals == [(["j1"], "the worker says: full")]
    path.view.apply_view(path.worker.view())
    path.worker.scripts += [wrong, path.worker.hang]
    assert await path.carry(Acceptances().expect())
    await until(lambda: path.view.fence_batch == 2, "the fence")
    path.list_held()
    await path.dispatcher.idle()
    await path.opened()
    path.worker.scripts = [another]
    assert await path.carry(Acceptances().expect())
    await until(lambda: bool(path.findings.deaths), "the death")
    assert path.findings.batches_of_refused == [0, 0]


async def test_a_carrier_that_is_cancelled_leaves_the_rest_to_the_path(
    path: Path, clock: MockClock
) -> None:
    """The word on the job is heard all the same, and nothing is sent twice."""
    word = trio.Event()
    path.worker.scripts.append(taking_after(path.worker, word))
    waiter = Acceptances().expect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(path.carry, waiter)
        await until(lambda: path.view.batch_number == 1, "the loan")
        nursery.cancel_scope.cancel()
    word.set()
    await path.dispatcher.idle()
    assert (waiter.worker_id, len(path.worker.batches)) == ("w1", 1)


async def test_the_end_of_a_path_ends_a_loan(clock: MockClock) -> None:
    """The carrier is told nothing, and goes on at once."""
    worker = ScriptedWorker()
    waiter = Acceptances().expect()
    async with trio.open_nursery() as outside:
        async with open_path(worker) as path:
            await path.opened()
            worker.scripts.append(worker.hang)
            began = trio.current_time()
            outside.start_soon(path.carry, waiter, 100.0)
            await until(lambda: path.view.batch_number == 1, "the loan")
        assert not await path.carry(Acceptances().expect())
    assert trio.current_time() - began < 0.5
    assert not waiter.told
