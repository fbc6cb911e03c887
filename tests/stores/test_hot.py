"""The commonest changes as one statement: all of a group or nothing, and then one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from hermesd.core.errors import Unstorable
from hermesd.core.job import Job
from hermesd.core.records import Submission, Verdict
from hermesd.core.states import Move, State
from hermesd.stores.backend import Answers, ItemFault, Part, Verb
from hermesd.stores.sqlite import SqliteStore
from hermesd.stores.sqlite.transaction import SqliteWriter
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.conformance.scene import in_brief
from hermesd.testing.listing import all_ids

Opener = Callable[..., AbstractAsyncContextManager[SqliteStore]]


def inserting(*jobs: Job) -> Part:
    """A submission without keys."""
    submission = Submission(jobs=jobs, keys=(None,) * len(jobs))
    return Part(verb=Verb.INSERT, items=(submission,), at=1.0)


def job(number: int, **fields: Any) -> Job:
    """A queued one unless told otherwise."""
    return msgspec.structs.replace(
        Job(id=f"{number:04d}", type="t", payload=msgspec.Raw(b"{}")), **fields
    )


@pytest.fixture
def writer(database: Path) -> Iterator[SqliteWriter]:
    """With its connection open, which the first commit sees to."""
    made = SqliteWriter(database, 5.0)
    assert made.at_once([inserting(job(0))]) is None
    made.commit([inserting(job(0))])
    yield made
    made.close()


def at_once(writer: SqliteWriter, *parts: Part) -> Answers:
    """The answers of a group that is committed at once."""
    commit = writer.at_once(parts)
    assert commit is not None
    return commit()


def settling(scene: Scene, *jobs: Job) -> Part:
    """Plain successes."""
    outcomes = tuple(scene.outcome(one, Move.SUCCEED) for one in jobs)
    return Part(verb=Verb.SETTLE, items=outcomes, at=1.0)


async def test_all_three_kinds_go_into_one_statement(opener: Opener, clock: ManualClock) -> None:
    """Callers that come together share one commit and each gets its own answer."""
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        waiting, running = await scene.queued(), [await scene.running(), await scene.running()]
        before = store.stats().commits
        answers: dict[str, Any] = {}

        async def insert() -> None:
            answers["insert"] = await scene.submit(scene.job(), scene.job())

        async def assign() -> None:
            order = msgspec.structs.replace(
                scene.assignment(waiting, Move.ASSIGN, "inc-1"), job=waiting
            )
            answers["assign"] = await store.jobs.assign([order])

        async def settle() -> None:
            settlements = [scene.outcome(job, Move.SUCCEED) for job in running]
            answers["settle"] = await store.jobs.settle(settlements)

        async with trio.open_nursery() as nursery:
            for call in (insert, assign, settle):
                nursery.start_soon(call)
        assert store.stats().commits == before + 1
        assert answers["settle"] == [Verdict.RECORDED] * 2
        assert answers["assign"] == [await scene.now(waiting)]
        for job in running:
            assert (await scene.now(job)).state is State.SUCCEEDED
        for submitted in answers["insert"]:
            assert await scene.now(submitted.job) == submitted.job


async def test_an_old_token_beside_good_ones_fails_alone(
    opener: Opener, clock: ManualClock
) -> None:
    """Its whole group is done again with a look at each job."""
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        first, late, waiting, gone = [await scene.queued() for _ in range(4)]
        first, late = [await scene.assign(one) or one for one in (first, late)]
        await scene.settle(late, Move.RELEASE)
        await scene.store.jobs.cancel(gone.id)
        answers: dict[str, Any] = {}

        async def settle(one: Job) -> None:
            answers[one.id] = await scene.settle(one, Move.SUCCEED)

        async def assign() -> None:
            orders = [
                msgspec.structs.replace(scene.assignment(one, Move.ASSIGN, "inc-1"), job=one)
                for one in (waiting, gone)
            ]
            answers["assign"] = await store.jobs.assign(orders)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(settle, first)
            nursery.start_soon(settle, late)
            nursery.start_soon(assign)
            nursery.start_soon(scene.submit, scene.job())
        assert (answers[first.id], answers[late.id]) == (Verdict.RECORDED, Verdict.DROPPED)
        assert answers["assign"] == [await scene.now(waiting), None]
        assert (await scene.now(waiting)).state is State.RUNNING
        assert (await scene.now(gone)).state is State.CANCELLED
        assert len(await all_ids(store.reader)) == 5


async def test_a_hand_over_shares_the_commit_of_the_others(
    opener: Opener, clock: ManualClock
) -> None:
    """Hand-overs of several callers and all else that came meanwhile; each gets its answer."""
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        jobs = [await scene.queued() for _ in range(4)]
        pushed, back = await scene.queued(), await scene.at_broker()
        before = store.stats().commits
        answers: dict[str, Any] = {}

        async def hand_over(name: str, *some: Job) -> None:
            tokens = [one.token for one in some]
            answers[name] = await store.outbox.hand_over(tokens, clock.utc())

        async def take_back() -> None:
            answers["back"] = await store.outbox.take_back([back.token], clock.utc())

        async def assign() -> None:
            order = scene.assignment(pushed, Move.ASSIGN, "inc-1")
            order = msgspec.structs.replace(order, job=pushed)
            answers["pushed"] = await store.jobs.assign([order])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_back)
            nursery.start_soon(hand_over, "first", *jobs[:2], pushed)
            nursery.start_soon(assign)
            nursery.start_soon(hand_over, "second", back, *jobs[2:])
            nursery.start_soon(scene.submit, scene.job())
        assert store.stats().commits == before + 1
        assert answers["first"] == [True, True, False]
        assert answers["second"] == [False, True, True]
        assert answers["back"] == [in_brief(await scene.now(back))]
        assert answers["pushed"] == [await scene.now(pushed)]
        assert await store.outbox.broker_counts(clock.utc() + 1) == {("default", 3): 4}


async def test_a_job_that_is_there_already_fails_alone(opener: Opener, clock: ManualClock) -> None:
    """Its caller is told, the others of the group are stored."""
    async with opener() as store:
        scene = Scene(store, clock)
        old = await scene.queued()
        refused: list[str] = []

        async def one(new: Job) -> None:
            try:
                await scene.submit(new)
            except Unstorable:
                refused.append(new.id)

        async with trio.open_nursery() as nursery:
            for new in (scene.job(), old, scene.job()):
                nursery.start_soon(one, new)
        assert refused == [old.id]
        assert len(await all_ids(store.reader)) == 3


def test_one_change_that_hits_nothing_undoes_all(writer: SqliteWriter, clock: ManualClock) -> None:
    """The compare-and-set is of the whole statement, which is the whole transaction."""
    running = job(1, state=State.RUNNING, lease=1, incarnation="inc-1")
    at_once(writer, inserting(running))
    scene = Scene(None, clock)  # type: ignore[arg-type]  # outcomes only
    with pytest.raises(ItemFault):
        at_once(writer, inserting(job(2)), settling(scene, running, job(3, lease=1)))
    assert not writer.landed((running.id, "succeeded", 1))
    assert not writer.landed(("0002", "queued", 0))
    (_, verdicts) = writer.commit([inserting(job(2)), settling(scene, running, job(3, lease=1))])
    assert list(verdicts) == [Verdict.RECORDED, Verdict.UNKNOWN]
    assert writer.landed((running.id, "succeeded", 1))
    assert writer.landed(("0002", "queued", 0))


def test_other_changes_are_not_done_at_once(writer: SqliteWriter) -> None:
    """Nor is what stands beside them: one group is one transaction."""
    cancel = Part(verb=Verb.CANCEL, items=("0000",), at=1.0)
    assert writer.at_once([inserting(job(1)), cancel]) is None


def test_what_cannot_be_encoded_is_refused_before_the_database(writer: SqliteWriter) -> None:
    """As a fault of the item, for the halving to find."""
    with pytest.raises(ItemFault):
        writer.at_once([inserting(job(1, payload=msgspec.Raw(b'"\xff"')))])


async def test_new_jobs_come_back_as_they_went_in_whatever_they_share(
    opener: Opener, clock: ManualClock
) -> None:
    """Families of jobs that are alike, and others that are like none, in one statement."""
    at = clock.utc()
    kinds: list[dict[str, Any]] = [
        {},
        {"priority": 7, "labels": {"a": "ü"}},
        {"state": State.RUNNING, "lease": 1, "incarnation": "inc-1", "started_at": at},
        {"state": State.SCHEDULED, "run_at": at + 60.0},
        {"enqueued_at": at + 1.0},
        {"trace_context": "t"},
    ]
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        counts = (5, 4, 6, 4, 4, 1)
        jobs = tuple(
            scene.job(**{"created_at": at, "payload": msgspec.Raw(b'["%d"]' % n), **fields})
            for fields, count in zip(kinds, counts, strict=True)
            for n in range(count)
        )
        before = store.stats().commits
        stored = await store.jobs.insert(Submission(jobs=jobs, apart=True))
        assert store.stats().commits == before + 1
        assert [one.job.id for one in stored] == [one.id for one in jobs]
        for one in stored:
            assert await scene.now(one.job) == one.job


async def test_of_jobs_that_are_apart_one_fails_alone(opener: Opener, clock: ManualClock) -> None:
    """The others are stored, and each is answered in its place."""
    async with opener() as store:
        scene = Scene(store, clock)
        old = await scene.queued()
        jobs = (scene.job(), old, scene.job(), scene.job(type="a\0b"), scene.job())
        stored = await store.jobs.insert(Submission(jobs=jobs, apart=True))
        assert [type(one.error) for one in stored] == [
            *(type(None), Unstorable, type(None), Unstorable, type(None))
        ]
        assert len(await all_ids(store.reader)) == 4
