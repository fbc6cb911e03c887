"""What the SQLite store does when the disk, another program or an item is at fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from hermesd.core.errors import OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.core.job import Job, Owner
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import Verdict
from hermesd.core.states import Move, State
from hermesd.stores.sqlite import SqliteStore, transaction
from hermesd.stores.sqlite.connection import open_writer
from hermesd.stores.sqlite.hot import HOT
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.listing import all_ids

LIMIT_BYTES = 50_000
Opener = Callable[..., AbstractAsyncContextManager[SqliteStore]]
Tune = Callable[[Callable[[sqlite3.Connection], Any]], None]


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> Tune:
    """Changes each writing connection as it is opened."""

    def tune(change: Callable[[sqlite3.Connection], Any]) -> None:
        def opened(database: Path, busy_timeout_seconds: float) -> Any:
            connection = open_writer(database, busy_timeout_seconds)
            return change(connection) or connection

        monkeypatch.setattr(transaction, "open_writer", opened)

    return tune


def limited(connection: sqlite3.Connection) -> None:
    """No text over LIMIT_BYTES."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LIMIT_BYTES)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program writes to the database."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


BIG = msgspec.Raw(b'"' + b"x" * LIMIT_BYTES + b'"')


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": BIG},
        {"payload": msgspec.Raw(b'"a\0b"')},
        {"payload": msgspec.Raw(b'"\xff"')},
        {"trace_context": "a\0b"},
        {"trace_context": "\ud800"},
        {"timeout": float("nan")},
    ],
    ids=["too big", "NUL", "not UTF-8", "NUL in a text", "half a surrogate", "no number"],
)
async def test_a_job_that_cannot_be_stored_fails_alone(
    opener: Opener, clock: ManualClock, tuned: Tune, fields: dict[str, Any]
) -> None:
    """The others of its group are stored, and its caller is told that it never can be."""
    tuned(limited)
    refused: list[str] = []
    async with opener() as store:
        scene = Scene(store, clock)

        async def one(job: Job) -> None:
            try:
                await scene.submit(job)
            except Unstorable:
                refused.append(job.id)

        bad = scene.job(**fields)
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, bad if number == 17 else scene.job())
        assert refused == [bad.id]
        assert len(await all_ids(store.reader)) == 29


@pytest.mark.parametrize(
    "result", [bytes(BIG), b'"a\0b"', b'"\xff"'], ids=["too big", "NUL", "not UTF-8"]
)
async def test_an_outcome_that_cannot_be_stored_fails_its_job(
    opener: Opener, clock: ManualClock, tuned: Tune, result: bytes
) -> None:
    """It alone is recorded as `unstorable-result`; the good ones beside it are recorded."""
    tuned(limited)
    async with opener() as store:
        scene = Scene(store, clock)
        jobs = [await scene.running() for _ in range(9)]
        outcomes = [scene.outcome(job, Move.SUCCEED, result=b"1") for job in jobs]
        outcomes[4] = scene.outcome(jobs[4], Move.SUCCEED, result=result)
        outcomes[7] = scene.outcome(scene.job(), Move.SUCCEED, result=result)
        verdicts = await store.jobs.settle(outcomes)
        expected = [Verdict.RECORDED] * 9
        expected[4], expected[7] = Verdict.UNSTORABLE, Verdict.UNKNOWN
        assert list(verdicts) == expected
        failed = await scene.now(jobs[4])
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert failed.error.kind == "unstorable-result"
        assert await scene.event_kinds(failed) == ["unstorable"]


async def test_a_pulled_outcome_that_cannot_be_stored_fails_its_job(
    opener: Opener, clock: ManualClock, tuned: Tune
) -> None:
    """It alone, claim and all; the good ones beside it are recorded."""
    tuned(limited)
    async with opener() as store:
        scene = Scene(store, clock)
        jobs = [await scene.at_broker() for _ in range(5)]
        outcomes = [scene.pulled(job, OutcomeKind.SUCCEEDED, result=b"1") for job in jobs]
        outcomes[2] = scene.pulled(jobs[2], OutcomeKind.SUCCEEDED, result=bytes(BIG))
        outcomes[3] = msgspec.structs.replace(outcomes[2], token=jobs[3].token, settlement=None)
        answers = await store.outbox.settle_pulled(outcomes, clock.utc())
        recorded, refused = Verdict.RECORDED, Verdict.UNSTORABLE
        assert [one.verdict for one in answers] == [recorded, recorded, refused, refused, recorded]
        for job, answer in zip(jobs[2:4], answers[2:4], strict=True):
            now = await scene.now(job)
            assert (now.state, now.attempts, now.lease) == (State.FAILED, 1, 1)
            assert now.error is not None
            assert now.error.kind == "unstorable-result"
            assert answer.settlement is not None
            assert answer.settlement.error == now.error


async def test_a_hand_over_of_unknown_fate_is_unknown(
    opener: Opener, clock: ManualClock, tuned: Tune
) -> None:
    """It leaves no trace in state and lease that could be looked up; the row tells, if read."""
    faults: list[bool] = []
    tuned(lambda real: DoubtfulConnection(real, landed=True, faults=faults))
    async with opener() as store:
        scene = Scene(store, clock)
        job = await scene.queued()
        faults.append(True)
        with pytest.raises(OutcomeUnknown):
            await store.outbox.hand_over([job.token], clock.utc())
        assert (await scene.now(job)).owner is Owner.AMQP
        (back,) = await store.outbox.take_back([job.token], clock.utc())
        assert back is not None


async def test_a_locked_database_stores_nothing_and_recovers(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """Past the busy timeout every waiter is told so; afterwards all is as before."""
    async with opener(busy_timeout_seconds=0.1) as store:
        scene = Scene(store, clock)
        first = await scene.queued()
        refused: list[str] = []

        async def one(job: Job) -> None:
            try:
                await scene.submit(job, scene.job())
            except StoreUnavailable as error:
                refused.append(error.detail)

        with locked(database):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(one, scene.job())
            with pytest.raises(StoreUnavailable):
                await store.check()
            assert await scene.now(first) == first  # reads do not wait for the writer
        assert len(refused) == 10
        assert len(await all_ids(store.reader)) == 1
        await store.check()
        await scene.queued()
        assert len(await all_ids(store.reader)) == 2


async def test_a_short_lock_is_waited_for(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """Within the busy timeout nobody notices but by the time it takes."""
    async with opener(busy_timeout_seconds=60.0) as store:
        scene = Scene(store, clock)
        job = scene.job()
        async with trio.open_nursery() as nursery:
            with locked(database):
                nursery.start_soon(scene.submit, job)
                await trio.testing.wait_all_tasks_blocked()
        assert (await scene.now(job)).id == job.id


async def test_a_full_disk_stores_nothing_and_recovers(
    opener: Opener, clock: ManualClock, tuned: Tune
) -> None:
    """Nothing of what did not fit is there; with room again the store goes on by itself."""
    room = [True]

    def cramped(connection: sqlite3.Connection) -> None:
        if not room[0]:
            connection.execute("PRAGMA max_page_count = 1").fetchone()

    tuned(cramped)
    room[0] = False
    async with opener() as store:
        scene = Scene(store, clock)
        jobs = [scene.job(payload=msgspec.Raw(b'"' + b"x" * 9000 + b'"')) for _ in range(20)]
        with pytest.raises(StoreUnavailable):
            await scene.submit(*jobs)
        assert len(await all_ids(store.reader)) == 0
        room[0] = True
        await scene.submit(*jobs)
        assert len(await all_ids(store.reader)) == 20


def disk_error() -> sqlite3.OperationalError:
    """As SQLite raises it."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


class DoubtfulConnection:
    """A connection that fails to commit once, after or before the fact; the rest is SQLite's."""

    def __init__(self, real: sqlite3.Connection, *, landed: bool, faults: list[bool]) -> None:
        self._real = real
        self._landed = landed
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """As SQLite does, but for the first one that commits."""
        commits = statement == "COMMIT" or (
            statement.startswith(HOT) and not self._real.in_transaction
        )
        if commits and self._faults:
            self._faults.pop()
            if self._landed:
                self._real.execute(statement, *values)
            raise disk_error()
        return self._real.execute(statement, *values)


async def test_a_commit_of_unknown_fate_that_happened_is_a_success(
    opener: Opener, clock: ManualClock, tuned: Tune
) -> None:
    """It is looked up by id, and nobody is told otherwise."""
    faults: list[bool] = []
    tuned(lambda real: DoubtfulConnection(real, landed=True, faults=faults))
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        faults.append(True)
        job = await scene.queued(state=State.RUNNING, lease=1, incarnation="inc-1")
        faults.append(True)
        assert await scene.settle(job, Move.RETRY) is Verdict.RECORDED
        other = await scene.running()
        faults.append(True)
        assert await scene.settle(other, Move.SUCCEED) is Verdict.RECORDED
        assert not faults


async def test_a_commit_of_unknown_fate_that_did_not_happen_is_unavailable(
    opener: Opener, clock: ManualClock, tuned: Tune
) -> None:
    """It surely was not done."""
    faults = [True]
    tuned(lambda real: DoubtfulConnection(real, landed=False, faults=faults))
    async with opener() as store:
        scene = Scene(store, clock)
        with pytest.raises(StoreUnavailable):
            await scene.queued()
        assert len(await all_ids(store.reader)) == 0
        await scene.queued()
        faults.append(True)
        with pytest.raises(StoreUnavailable):
            await scene.queued()
        assert len(await all_ids(store.reader)) == 1


async def test_a_commit_without_a_trace_is_unknown(
    opener: Opener, clock: ManualClock, tuned: Tune
) -> None:
    """Where no row tells, the caller is told that nobody knows."""
    faults: list[bool] = []
    tuned(lambda real: DoubtfulConnection(real, landed=True, faults=faults))
    async with opener() as store:
        faults.append(True)
        with pytest.raises(OutcomeUnknown):
            await Scene(store, clock).living("inc-1")


async def test_a_caller_that_gives_up_harms_nobody(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """Cancelled while its group waits, its items are left out and the others are stored."""
    async with opener(busy_timeout_seconds=60.0) as store:
        scene = Scene(store, clock)
        first, quitter, patient = scene.job(), scene.job(), scene.job()
        giving_up = trio.CancelScope()

        async def quit_early() -> None:
            with giving_up:
                await scene.submit(quitter)

        async with trio.open_nursery() as nursery:
            with locked(database):
                nursery.start_soon(scene.submit, first)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(quit_early)
                nursery.start_soon(scene.submit, patient)
                await trio.testing.wait_all_tasks_blocked()
                giving_up.cancel()
                await trio.testing.wait_all_tasks_blocked()
        assert giving_up.cancelled_caught
        found = {job.id for job in await store.reader.get_many([first.id, patient.id])}
        assert found == {first.id, patient.id}
        await scene.queued()  # the bound on what waits has room again
        assert len(await all_ids(store.reader)) in (3, 4)


async def test_too_much_waiting_is_refused(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """Past the bound a change is refused at once, with a time to come back."""
    async with opener(max_pending=5, busy_timeout_seconds=60.0) as store:
        scene = Scene(store, clock)
        errors: list[StoreUnavailable] = []

        async def one(job: Job) -> None:
            try:
                await scene.submit(job)
            except StoreUnavailable as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            with locked(database):
                for _ in range(12):
                    nursery.start_soon(one, scene.job())
                await trio.testing.wait_all_tasks_blocked()
                assert len(errors) == 7
                assert all(error.retry_after_seconds > 0 for error in errors)
        assert len(await all_ids(store.reader)) == 5


async def test_a_batch_above_the_group_size_is_stored_whole(
    opener: Opener, clock: ManualClock
) -> None:
    """A submission is never split, however small the groups are."""
    async with opener(max_group=3) as store:
        scene = Scene(store, clock)
        jobs = [scene.job() for _ in range(50)]
        assert len(await scene.submit(*jobs)) == 50
        assert store.stats().commits == 1


async def test_a_closing_store_commits_what_it_was_given(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """Calls that wait at the end are answered, later ones are refused."""
    answers: list[str] = []

    async def one(scene: Scene, job: Job) -> None:
        await scene.submit(job)
        answers.append(job.id)

    async with trio.open_nursery() as nursery:
        async with opener(busy_timeout_seconds=60.0) as store:
            scene = Scene(store, clock)
            with locked(database):
                for _ in range(5):
                    nursery.start_soon(one, scene, scene.job())
                await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StoreUnavailable):
            await scene.queued()
    assert len(answers) == 5
    async with opener() as again:
        assert len(await all_ids(again.reader)) == 5


async def test_an_error_in_the_block_comes_out_as_it_is(opener: Opener) -> None:
    """Not wrapped in a group."""
    with pytest.raises(KeyError):
        async with opener():
            raise KeyError("x")


async def test_places_rise_over_a_restart(opener: Opener, clock: ManualClock) -> None:
    """Though the wall clock was set back meanwhile."""
    async with opener() as store:
        first = await Scene(store, clock).queued()
        identity = await store.fleet.store_id()
    clock.jump(-3600)
    async with opener() as store:
        scene = Scene(store, clock)
        scene.job()
        second = await scene.queued()
        assert await scene.waiting() == [first.id, second.id]
        assert await store.fleet.store_id() == identity


async def test_the_store_tells_what_it_did(store: SqliteStore, clock: ManualClock) -> None:
    """Commits, items and the time of the last commit."""
    scene = Scene(store, clock)
    await scene.queued()
    stats = store.stats()
    assert (stats.commits, stats.items, stats.failed_groups) == (1, 1, 0)
    assert (stats.failing, sum(stats.seconds.counts), sum(stats.sizes.counts)) == (False, 1, 1)
    assert stats.seconds.total > 0
