"""What the PostgreSQL store does when the server, the line or an item is at fault."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
import pytest
import trio
from databases.cutter import Cut, open_cutter
from databases.postgresql import PostgresServer
from databases.stores import line_to, opened
from msgspec.structs import replace

from hermesd.clock import SystemClock
from hermesd.core.errors import OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.core.job import Job, Owner
from hermesd.core.records import JobFilter, Verdict
from hermesd.core.states import Move, State
from hermesd.stores.postgres import PostgresStore
from hermesd.stores.postgres.comeback import Comeback
from hermesd.stores.postgres.connection import BoundedConnection
from hermesd.stores.postgres.reads import PostgresReads
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.listing import all_ids

WRITER = "hermesd-writer"
LIMIT_SECONDS = 150


class Tally:
    """Ids that become more, for those who wait for it."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._lot = trio.lowlevel.ParkingLot()

    def add(self, one: str) -> None:
        """One more."""
        self.ids.add(one)
        self._lot.unpark_all()

    async def more(self, number: int) -> None:
        """Return when there are so many more than now."""
        wanted = len(self.ids) + number
        while len(self.ids) < wanted:
            await self._lot.park()


@pytest.fixture
async def store(postgresql_url: str, clock: ManualClock) -> AsyncIterator[PostgresStore]:
    """An open store, on the database's own clock."""
    async with opened(postgresql_url, clock=clock) as store:
        yield store


@pytest.fixture
def scene(store: PostgresStore, clock: ManualClock) -> Scene:
    """The store under test."""
    return Scene(store, clock)


@pytest.fixture
def server(postgresql: PostgresServer) -> PostgresServer:
    """The server, which is up again at the end."""
    return postgresql


def through(url: str, port: int, server: PostgresServer) -> str:
    """The same database by another port."""
    return url.replace(f":{server.port}/", f":{port}/")


def end_backends(server: PostgresServer, name: str) -> int:
    """How many connections of that name were ended."""
    ended = server.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", name
    )
    return len(ended)


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": msgspec.Raw(b'"a\0b"')},
        {"payload": msgspec.Raw(b'"\xff"')},
        {"trace_context": "a\0b"},
        {"trace_context": "\ud800"},
        {"timeout": float("nan")},
    ],
    ids=["NUL", "not UTF-8", "NUL in a text", "half a surrogate", "no number"],
)
async def test_a_job_that_cannot_be_stored_fails_alone(
    scene: Scene, fields: dict[str, Any]
) -> None:
    """The others of its group are stored, and its caller is told that it never can be."""
    refused: list[str] = []

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
    assert len(await all_ids(scene.store.reader)) == 29


@pytest.mark.parametrize("result", [b'"a\0b"', b'"\xff"'], ids=["NUL", "not UTF-8"])
async def test_an_outcome_that_cannot_be_stored_fails_its_job(scene: Scene, result: bytes) -> None:
    """It alone is recorded as `unstorable-result`; the good ones beside it are recorded."""
    jobs = [await scene.running() for _ in range(5)]
    outcomes = [scene.outcome(job, Move.SUCCEED, result=b"1") for job in jobs]
    outcomes[3] = scene.outcome(jobs[3], Move.SUCCEED, result=result)
    verdicts = await scene.store.jobs.settle(outcomes)
    expected = [Verdict.RECORDED] * 5
    expected[3] = Verdict.UNSTORABLE
    assert list(verdicts) == expected
    failed = await scene.now(jobs[3])
    assert failed.error is not None
    assert (failed.state, failed.error.kind) == (State.FAILED, "unstorable-result")


async def test_what_cannot_be_asked_is_not_there(scene: Scene) -> None:
    """An id with a NUL is nowhere, and no fault of the store."""
    assert await scene.store.reader.get("a\0b") is None
    assert await scene.store.jobs.requeue(["a\0b"]) == [None]


async def test_a_backend_that_is_ended_is_not_noticed(
    store: PostgresStore, scene: Scene, server: PostgresServer
) -> None:
    """Under load, again and again: every call succeeds, and a counter tells."""
    done = Tally()
    enough = trio.Event()

    async def caller() -> None:
        while not enough.is_set():
            job = await scene.running()
            assert await scene.settle(job, Move.SUCCEED) is Verdict.RECORDED
            done.add(job.id)

    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(caller)
            ended = 0
            while ended < 10:
                ended += await trio.to_thread.run_sync(end_backends, server, WRITER)
                await done.more(1)
            enough.set()
    assert 1 <= store.stats().repeats <= ended
    assert len(await all_ids(store.reader, JobFilter(states=(State.SUCCEEDED,)))) == len(done.ids)
    assert len(await all_ids(store.reader)) == len(done.ids)


async def test_a_reading_connection_that_is_ended_is_not_noticed(
    scene: Scene, server: PostgresServer
) -> None:
    """The read is done again on a fresh one."""
    job = await scene.queued()
    assert await scene.now(job) == job
    for _ in range(3):
        assert await trio.to_thread.run_sync(end_backends, server, "hermesd-reader") >= 1
        assert await scene.now(job) == job


async def test_whoever_reaches_the_server_again_ends_the_wait_of_all(postgresql_url: str) -> None:
    """Else a job that was just accepted could not be looked at for up to five seconds."""
    comeback = Comeback()
    for _ in range(10):
        comeback.failed(time.monotonic(), 1.0, "PostgreSQL: away")
    reads = PostgresReads(line_to(postgresql_url), comeback)
    try:
        with pytest.raises(StoreUnavailable, match="away"):
            await reads.run(one)
        comeback.worked()
        assert await reads.run(one) == 1
    finally:
        reads.close()


def one(connection: BoundedConnection) -> int:
    (found,) = connection.execute("SELECT 1").fetchone() or ()
    assert isinstance(found, int)
    return found


async def test_a_commit_that_happened_is_a_success(
    postgresql_url: str, server: PostgresServer, clock: ManualClock
) -> None:
    """Its answer was lost: the server is asked about it, and nobody is told otherwise."""
    async with open_cutter(server.port) as cutter:
        url = through(postgresql_url, cutter.port, server)
        async with opened(url, clock=clock) as store:
            scene = Scene(store, clock)
            cutter.cuts.append(Cut.AFTER)
            job = await scene.queued()
            assert await scene.now(job) == job
            cutter.cuts.append(Cut.AFTER)
            end_backends(server, WRITER)
            assert await store.outbox.hand_over([job.token], clock.utc()) == [True]
            assert (await scene.now(job)).owner is Owner.AMQP
            cutter.cuts.append(Cut.AFTER)
            end_backends(server, WRITER)
            assert await scene.living("inc-1")
            assert not cutter.cuts
            assert len(await all_ids(store.reader)) == 1


async def test_a_commit_that_did_not_happen_is_repeated(
    postgresql_url: str, server: PostgresServer, clock: ManualClock
) -> None:
    """Once the server has said that it will never happen; the caller does not notice."""
    async with open_cutter(server.port) as cutter:
        url = through(postgresql_url, cutter.port, server)
        async with opened(url, clock=clock) as store:
            scene = Scene(store, clock)
            cutter.cuts += [Cut.BEFORE, Cut.BEFORE]
            job = await scene.queued()
            assert not cutter.cuts
            assert await scene.now(job) == job
            assert store.stats().repeats == 2
            assert len(await all_ids(store.reader)) == 1


async def test_a_commit_that_nobody_can_tell_of_is_unknown(
    postgresql_url: str, server: PostgresServer, clock: ManualClock
) -> None:
    """The line is cut for good with the COMMIT on its way: neither "stored" nor "absent"."""
    async with open_cutter(server.port) as cutter:
        url = through(postgresql_url, cutter.port, server)
        async with opened(url, clock=clock) as store:
            scene = Scene(store, clock)
            cutter.cuts.append(Cut.AFTER)
            cutter.refuse_after_cut = True
            job = scene.job()
            with pytest.raises(OutcomeUnknown):
                await scene.submit(job)
            await cutter.listen()
            await settled(store)
            assert (await scene.now(job)).id == job.id


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("change", ["born", "assigned", "succeeded"])
async def test_a_round_whose_answer_is_lost_is_looked_up(
    postgresql_url: str, server: PostgresServer, clock: ManualClock, change: str, cut: Cut
) -> None:
    """What needs no look ends in the round that sends it: it has happened, or is repeated."""
    async with open_cutter(server.port) as cutter:
        url = through(postgresql_url, cutter.port, server)
        async with opened(url, clock=clock) as store:
            scene = Scene(store, clock)
            waits, runs = await scene.queued(), await scene.running()
            born = [scene.job() for _ in range(8)]
            subject = {"born": born[-1], "assigned": waits, "succeeded": runs}[change]
            cutter.mark = subject.id.encode()
            cutter.cuts.append(cut)
            if change == "born":
                await scene.submit(*born)
            elif change == "assigned":
                order = replace(scene.assignment(waits, Move.ASSIGN, "inc-1"), job=waits)
                (assigned,) = await store.jobs.assign([order])
                assert assigned == await scene.now(waits)
            else:
                assert await scene.settle(runs, Move.SUCCEED) is Verdict.RECORDED
            assert not cutter.cuts
            found = await scene.now(subject)
            wanted = {"born": State.QUEUED, "assigned": State.RUNNING, "succeeded": State.SUCCEEDED}
            assert found.state is wanted[change]
            assert len(await all_ids(store.reader)) == (10 if change == "born" else 2)
            assert store.stats().repeats == (1 if cut is Cut.BEFORE else 0)


async def test_what_another_has_done_is_not_taken_for_ones_own(
    postgresql_url: str, server: PostgresServer, clock: ManualClock
) -> None:
    """A round is undone by the server and its answer is lost: its first job looks as if it were."""
    async with open_cutter(server.port) as cutter:
        url = through(postgresql_url, cutter.port, server)
        async with opened(url, clock=clock) as store, opened(postgresql_url, clock=clock) as other:
            here, there = Scene(store, clock), Scene(other, clock)
            ended, runs = await here.running(), await here.running()
            assert await here.settle(ended, Move.SUCCEED) is Verdict.RECORDED
            clock.jump(0.01)
            cutter.mark = runs.id.encode()
            cutter.cuts.append(Cut.AFTER)
            again = [here.outcome(job, Move.SUCCEED) for job in (ended, runs)]
            assert (await store.jobs.settle(again))[1] is Verdict.RECORDED
            assert (await there.now(runs)).state is State.SUCCEEDED

            taken, free = await here.queued(), await here.queued()
            await there.living("inc-A")
            await there.living("inc-B")
            theirs = replace(there.assignment(taken, Move.ASSIGN, "inc-B"), job=taken)
            assert all(await other.jobs.assign([theirs]))
            clock.jump(0.01)
            cutter.mark = taken.id.encode()
            cutter.cuts.append(Cut.AFTER)
            ours = [
                replace(here.assignment(job, Move.ASSIGN, "inc-A"), job=job)
                for job in (taken, free)
            ]
            given = await store.jobs.assign(ours)
            assert given == [None, await there.now(free)]
            assert (await there.now(free)).incarnation == "inc-A"
            assert (await there.now(taken)).incarnation == "inc-B"
            assert not cutter.cuts


async def test_a_round_that_the_server_refuses_at_its_end_is_repeated(
    store: PostgresStore, scene: Scene, postgresql_url: str
) -> None:
    """And never taken for done."""
    await scene.queued()  # the connection is open
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute("CREATE SEQUENCE tries")
        other.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF nextval('tries') <= 1 THEN RAISE EXCEPTION 'at the end'; END IF; "
            "RETURN NULL; END $$"
        )
        other.execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    job = await scene.queued()
    assert await scene.now(job) == job
    assert store.stats().repeats == 1


async def settled(store: PostgresStore) -> None:
    """Return when the store can be written again."""
    with trio.fail_after(LIMIT_SECONDS):
        while True:
            with suppress(StoreUnavailable):
                await store.check()
                return
            await trio.sleep(0.05)


async def test_a_killed_server_loses_nothing_that_was_answered(
    postgresql_url: str, server: PostgresServer
) -> None:
    """kill -9 amid commits: what was answered is there, what was refused is not."""
    clock = SystemClock()
    stored = Tally()
    refused: set[str] = set()
    unknown: set[str] = set()
    stop = trio.Event()

    async def caller(scene: Scene) -> None:
        while not stop.is_set():
            job = scene.job()
            try:
                await scene.submit(job)
                stored.add(job.id)
            except StoreUnavailable:
                refused.add(job.id)
                await trio.sleep(0.02)  # as its Retry-After asks for, only sooner
            except OutcomeUnknown:
                unknown.add(job.id)

    async with opened(postgresql_url, clock=clock) as store:
        scene = Scene(store, clock)  # type: ignore[arg-type]
        with trio.fail_after(LIMIT_SECONDS):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(caller, scene)
                for _ in range(3):
                    await stored.more(100)
                    await trio.to_thread.run_sync(server.kill)
                    await trio.to_thread.run_sync(server.start)
                await stored.more(100)
                stop.set()
        found = set(await all_ids(store.reader))
    assert stored.ids <= found
    assert not refused & found
    assert found <= stored.ids | unknown


async def test_while_the_server_is_away_calls_are_refused_at_once(
    store: PostgresStore, scene: Scene, server: PostgresServer
) -> None:
    """With a time to come back at; afterwards the store goes on by itself."""
    job = await scene.queued()
    await trio.to_thread.run_sync(server.stop)
    try:
        with trio.fail_after(LIMIT_SECONDS):
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                await scene.queued()  # it may not have been told yet that its connection is lost
            for _ in range(20):
                with pytest.raises(StoreUnavailable) as write:
                    await scene.queued()
                with pytest.raises(StoreUnavailable):
                    await scene.now(job)
        assert 0 < write.value.retry_after_seconds <= 5
    finally:
        await trio.to_thread.run_sync(server.start)
    await settled(store)
    assert await scene.now(job) == job
    assert len(await all_ids(store.reader)) == 1


@pytest.mark.faults
async def test_a_server_that_hangs_is_given_up(
    postgresql_url: str, server: PostgresServer, clock: ManualClock
) -> None:
    """No call waits for longer than the time limits say, and what was refused is not done later."""
    async with opened(postgresql_url, clock=clock, line=QUICK) as store:
        scene = Scene(store, clock)
        job = await scene.queued()
        server.pause()
        try:
            with trio.fail_after(LIMIT_SECONDS):
                with pytest.raises((StoreUnavailable, OutcomeUnknown)) as told:
                    await scene.queued()
                with pytest.raises(StoreUnavailable):
                    await scene.now(job)
        finally:
            server.resume()
        await settled(store)
        unknown = isinstance(told.value, OutcomeUnknown)
        assert len(await all_ids(store.reader)) in ((1, 2) if unknown else (1,))


async def test_a_job_that_another_program_holds_is_waited_for_and_no_longer(
    postgresql_url: str, clock: ManualClock
) -> None:
    """Past the time limit nothing was done, and the next call works."""
    async with opened(postgresql_url, clock=clock, line=QUICK) as store:
        scene = Scene(store, clock)
        job = await scene.queued()
        with psycopg.connect(postgresql_url) as other:
            other.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", (job.id,))
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                await store.jobs.cancel(job.id)
        assert await scene.now(job) == job
        assert (await store.jobs.cancel(job.id)).state is State.CANCELLED


@pytest.mark.parametrize("state", ["40001", "40P01"], ids=["serialization", "deadlock"])
async def test_a_conflict_is_repeated(
    store: PostgresStore, scene: Scene, postgresql_url: str, state: str
) -> None:
    """A few times; a sequence is the one thing that a rollback leaves alone."""
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute("CREATE SEQUENCE tries")
        other.execute(
            "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'in the way' "
            f"USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$"
        )
        other.execute(
            "CREATE TRIGGER conflict BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION conflict()"
        )
    job = await scene.queued()
    assert await scene.now(job) == job
    assert store.stats().repeats == 2


QUICK = {"statement_seconds": 1.0, "lock_seconds": 0.2, "connect_seconds": 2.0}


async def test_the_stores_clock_is_the_databases(postgresql_url: str, clock: ManualClock) -> None:
    """Whatever this machine's says: who was heard of is dated by the one that all apis share."""
    clock.jump(-10 * 365 * 86_400)
    async with opened(postgresql_url, clock=clock) as store:
        await Scene(store, clock).living("inc-1")
        (found,) = await store.fleet.living()
        assert abs(found.last_seen - SystemClock().utc()) < 60
        assert not await store.fleet.fence("inc-1", silent_for_seconds=60)
        assert await store.fleet.fence("inc-1", silent_for_seconds=0)
