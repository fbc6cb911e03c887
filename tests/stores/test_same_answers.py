"""The same calls in the same order get the same answers from memory and from each database."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from databases.stores import opened

from hermesd.core.errors import HermesError
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import BrokerRange, EndedRange
from hermesd.core.states import Move, State
from hermesd.stores.sqlite import SqliteStore
from hermesd.stores.store import Store
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.listing import all_ids
from hermesd.testing.memory import MemoryStore

STEPS = 250
SLOW = pytest.mark.faults
AGAIN = (Move.RETRY, Move.SNOOZE, Move.RELEASE)
OUTCOMES = (Move.SUCCEED, Move.FAIL, Move.CANCEL, Move.RETURN, *AGAIN)
INCARNATIONS = ("inc-1", "inc-2", "inc-3")
PAIRS = tuple((queue, kind) for queue in ("default", "slow") for kind in ("test.echo", "mail"))

Step = Callable[[Scene], Awaitable[Any]]


class Walk:
    """Draws calls; each is made on both stores with the very same arguments."""

    def __init__(self, seed: int, scene: Scene) -> None:
        self._chance = random.Random(seed)
        self._scene = scene  # only for its job ids and clock
        self._known: list[Job] = []

    def step(self) -> Step:
        """The next call."""
        chance = self._chance
        if not self._known or chance.random() < 0.3:
            return self._insert()
        self._scene.clock.advance(chance.choice((0.0, 0.000001, 1.5)))
        verbs = {
            self._settle: 6,
            self._assign: 5,
            self._hand_over: 6,
            self._take_back: 2,
            self._claim: 3,
            self._settle_pulled: 3,
            self._operate: 3,
            self._sweep: 2,
            self._fleet: 1,
        }
        return chance.choices(list(verbs), weights=list(verbs.values()))[0]()

    def learn(self, jobs: list[Job]) -> None:
        """The jobs as they are now: the next calls name their leases, mostly."""
        self._known = jobs

    def _job(self) -> Job:
        return self._chance.choice(self._known)

    def _token_of(self) -> Job:
        job = self._job()
        off = self._chance.choice((0, 0, 0, 0, 0, 0, -1, 1))
        return msgspec.structs.replace(job, lease=max(job.lease + off, 0))

    def _insert(self) -> Step:
        chance, now = self._chance, self._scene.clock.utc()
        jobs, keys = [], []
        for _ in range(chance.choice((1, 1, 2, 5))):
            queue, kind = chance.choice(PAIRS)
            state = chance.choice((State.QUEUED, State.RUNNING, State.SCHEDULED))
            fields: dict[str, Any] = {"queue": queue, "type": kind, "state": state}
            fields["priority"] = chance.choice((0, 3, 10))
            if state is State.RUNNING:
                fields |= {"lease": 1, "attempts": 1, "worker_id": "w", "assigned_by": "api-1"}
                fields["incarnation"] = chance.choice(INCARNATIONS)
            if state is State.SCHEDULED:
                fields["run_at"] = now + chance.random() * 20
            jobs.append(self._scene.job(**fields))
            name, body = chance.choice("abcdefgh"), chance.choice("xxxxy")
            key = self._scene.key(name, body=body, ttl=chance.choice((1.0, 50.0)))
            keys.append(key if chance.random() < 0.3 else None)
        return lambda scene: scene.submit(*jobs, keys=keys)

    def _settle(self) -> Step:
        chance, outcomes = self._chance, []
        for _ in range(chance.choice((1, 1, 3))):
            fields: dict[str, Any] = {"result": b"[1]"} if chance.random() < 0.5 else {}
            if chance.random() < 0.5:
                fields["error"] = ErrorInfo(kind=chance.choice(("error", "quarantined")))
            move = chance.choice(OUTCOMES)
            if move in (Move.RETRY, Move.SNOOZE):
                fields["run_at"] = self._scene.clock.utc() + chance.random() * 9
            outcomes.append(self._scene.outcome(self._token_of(), move, **fields))
        return lambda scene: scene.store.jobs.settle(outcomes)

    def _assign(self) -> Step:
        move = self._chance.choice((Move.ASSIGN, Move.ASSIGN, Move.REASSIGN))
        orders = [
            self._scene.assignment(self._token_of(), move, self._chance.choice(INCARNATIONS))
            for _ in range(3)
        ]
        return lambda scene: scene.store.jobs.assign(orders)

    def _claim(self) -> Step:
        jobs, incarnation = self._waiting_tokens(), self._chance.choice(INCARNATIONS)

        async def claim(scene: Scene) -> Any:
            claims = [await scene.claim(job, incarnation=incarnation) for job in jobs]
            return await scene.store.jobs.claim(claims)

        return claim

    def _hand_over(self) -> Step:
        tokens, at = [job.token for job in self._waiting_tokens()], self._scene.clock.utc()
        return lambda scene: scene.store.outbox.hand_over(tokens, at)

    def _take_back(self) -> Step:
        tokens, at = [job.token for job in self._waiting_tokens()], self._scene.clock.utc()
        return lambda scene: scene.store.outbox.take_back(tokens, at)

    def _settle_pulled(self) -> Step:
        chance, outcomes = self._chance, []
        for job in self._waiting_tokens():
            if job.state is State.RUNNING and chance.random() < 0.7:  # claimed a moment ago
                job = msgspec.structs.replace(job, state=State.QUEUED, lease=job.lease - 1)
            who, kind = chance.choice(INCARNATIONS), chance.choice(list(OutcomeKind))
            outcomes.append(self._scene.pulled(job, kind, incarnation=who))
        at = self._scene.clock.utc()
        return lambda scene: scene.store.outbox.settle_pulled(outcomes, at)

    def _waiting_tokens(self) -> list[Job]:
        """Mostly of jobs that wait."""
        waiting = [job for job in self._known if job.state is State.QUEUED]
        jobs = [self._token_of() for _ in range(2)]
        return jobs + self._chance.choices(waiting or jobs, k=3)

    def _operate(self) -> Step:
        ids = [self._job().id for _ in range(3)]
        what = self._chance.choice(("cancel", "requeue", "purge"))
        if what == "cancel":
            return lambda scene: scene.store.jobs.cancel(ids[0])
        if what == "requeue":
            return lambda scene: scene.store.jobs.requeue(ids)
        return lambda scene: scene.store.jobs.purge(ids[:1])

    def _sweep(self) -> Step:
        if self._chance.random() < 0.6:
            return lambda scene: scene.store.jobs.release_due(2)

        async def orphans(scene: Scene) -> Any:
            released = await scene.store.jobs.release_orphans(1000)
            return sorted(released, key=lambda job: job.id)

        return orphans

    def _fleet(self) -> Step:
        name = self._chance.choice(INCARNATIONS)
        if self._chance.random() < 0.85:
            return lambda scene: scene.living(name)
        return lambda scene: scene.store.fleet.fence(name, silent_for_seconds=None)


async def answer(call: Step, scene: Scene) -> Any:
    """What a call answers, or the error that it raises."""
    try:
        return await call(scene)
    except HermesError as error:
        return (type(error), error.detail, dict(error.extra))


async def everything(scene: Scene) -> dict[str, Any]:
    """All that a store tells."""
    reader = scene.store.reader
    ids = await all_ids(reader)
    return {
        "jobs": [await reader.get(job_id) for job_id in ids],
        "in brief": sorted(await reader.get_many(ids), key=lambda job: job.id),
        "events": [list(await reader.events(job_id)) for job_id in ids],
        "waiting": (await scene.head(*PAIRS, limit=1000, most_bytes=1_000_000)).jobs,
        "next due": await scene.store.jobs.next_due(),
        "broker": dict(await scene.store.outbox.broker_counts(scene.clock.utc())),
        "there": [list(await scene.store.outbox.with_broker(one)) for one in _bands(scene)],
        "misowned": list(await reader.misowned(100)),
        "counts": await reader.counts(),
        "live": await reader.counts(live=True),
        "ended": await reader.ended(_ended(scene.clock.utc())),
        "living": list(await scene.store.fleet.living()),
    }


def _bands(scene: Scene) -> list[BrokerRange]:
    """Some of what was published before now, more than there may be and less."""
    now = scene.clock.utc()
    return [
        BrokerRange(queue="default", lowest=0, highest=10, published_before=now, limit=100),
        BrokerRange(queue="default", lowest=3, highest=6, published_before=now, limit=2),
        BrokerRange(queue="slow", lowest=0, highest=3, published_before=now - 2, limit=3),
    ]


def _ended(now: float) -> EndedRange:
    """Older than some, and not all states."""
    times = {State.SUCCEEDED: now - 20, State.CANCELLED: now - 0.000001}
    return EndedRange(after="0199", until="019a", limit=100, before=times)


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(n, marks=SLOW) for n in range(3, 8))])
async def test_memory_and_sqlite_agree(seed: int, store: SqliteStore, clock: ManualClock) -> None:
    """Over a random walk through the ports, call by call and in all that can be asked."""
    await agree(seed, store, clock)


@pytest.mark.parametrize("seed", [8, pytest.param(9, marks=SLOW)])
async def test_memory_and_postgresql_agree(
    seed: int, postgresql_url: str, clock: ManualClock
) -> None:
    """The same on the other database."""
    async with opened(postgresql_url, clock=clock, utc=clock.utc) as store:
        await agree(seed, store, clock)


async def agree(seed: int, store: Store, clock: ManualClock) -> None:
    """Make the same calls on this store and on one in memory."""
    scenes = (Scene(store, clock), Scene(MemoryStore(clock), clock))
    walk = Walk(seed, Scene(store, clock))
    for number in range(STEPS):
        call = walk.step()
        ours, theirs = [await answer(call, scene) for scene in scenes]
        with suppress(TypeError):
            ours, theirs = list(ours), list(theirs)
        assert ours == theirs, f"step {number}"
        held = await everything(scenes[0])
        assert not held["misowned"]
        if number % 10 == 0:
            assert held == await everything(scenes[1]), f"after step {number}"
        walk.learn(held["jobs"])
    assert await everything(scenes[0]) == await everything(scenes[1])
