"""Which worker gets a job."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.breaker import Breaker
from hermesd.core.fleet import Registration, SlotView
from hermesd.core.job import Job, Kind
from hermesd.core.jobtype import JobType
from hermesd.core.registry import Held, Registry, WorkerView
from hermesd.core.routing import choose, explain

JOB = Job(id="j", type="t", payload=msgspec.Raw(b"1"))


def worker(name: str, slots: int = 4, free: int | None = None, **changes: object) -> WorkerView:
    """A routable worker with so many free slots."""
    registration = Registration(
        worker_id=name,
        incarnation=name,
        address="127.0.0.1:1",
        machine="m",
        version="0",
        slots={"async": slots},
        types=(JobType(name="t", kind=Kind.ASYNC),),
        queues=("default",),
    )
    registration = msgspec.structs.replace(registration, **changes)
    view = WorkerView(registration, Breaker(0, min_backoff_seconds=1, max_backoff_seconds=1), 0, 0)
    view.apply_view(SlotView(version=1, free={"async": slots if free is None else free}))
    view.breaker.reset()
    return view


def fleet(*views: WorkerView) -> Registry:
    """A registry of these."""
    registry = Registry()
    for view in views:
        registry.add(view)
    return registry


def give(registry: Registry, job: Job = JOB) -> str | None:
    """Choose and reserve, as the router does; who got it."""
    choice = choose(job, registry)
    if choice is None:
        return None
    choice.worker.reserve(Held(job, choice.kind, 0.0), registry.next_turn())
    return choice.worker.worker_id


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=8))
def test_the_least_loaded_gets_it(sizes: list[tuple[int, int]]) -> None:
    """By the used share of its slots; nobody where nothing is free."""
    views = [worker(f"w{n}", slots, min(free, slots)) for n, (slots, free) in enumerate(sizes)]
    choice = choose(JOB, fleet(*views))
    loads = {v: 1 - v.free("async") / v.slots["async"] for v in views if v.free("async") > 0}
    if choice is None:
        assert not loads
    else:
        assert loads[choice.worker] == min(loads.values())


@given(st.integers(1, 6), st.integers(1, 10), st.integers(0, 80))
def test_equal_workers_get_equal_shares(workers: int, slots: int, jobs: int) -> None:
    """Ties go round: no two differ by more than one job, and none gets more than its slots."""
    registry = fleet(*[worker(f"w{n}", slots) for n in range(workers)])
    shares = Counter(got for _ in range(jobs) if (got := give(registry)))
    counts = [shares[f"w{n}"] for n in range(workers)]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == min(jobs, workers * slots)


def test_ties_are_broken_by_the_longest_wait() -> None:
    """Also when slots free up in between."""
    registry = fleet(worker("a", 1), worker("b", 1))
    order = []
    for _ in range(4):
        order.append(give(registry))
        for view in registry:
            view.apply_view(SlotView(version=100 + len(order), free={"async": 1}))
            view._unseen.clear()
    assert order in (["a", "b", "a", "b"], ["b", "a", "b", "a"])


def test_only_who_can_take_it_is_chosen() -> None:
    """Not one that drains, is unreachable, serves other queues, or has no slot of the kind."""
    draining, asked, condemned, unreachable = (worker(f"w{n}") for n in range(4))
    draining.draining = asked.drain_requested = condemned.condemned = True
    unreachable.breaker.trip(0, "x")
    elsewhere = worker("w5", queues=("mail",))
    other = worker("w6", types=(JobType(name="u", kind=Kind.ASYNC),))
    thread = worker("w7", types=(JobType(name="t", kind=Kind.THREAD),))
    registry = fleet(draining, asked, condemned, unreachable, elsewhere, other, thread)
    assert choose(JOB, registry) is None
    registry.add(worker("w8"))
    assert give(registry) == "w8"


def test_a_suspect_is_alone_among_its_like() -> None:
    """One job with a crash count a worker; others do not mind."""
    suspect = msgspec.structs.replace(JOB, crash_count=2)
    registry = fleet(worker("a"), worker("b"))
    assert {give(registry, suspect), give(registry, suspect)} == {"a", "b"}
    assert give(registry, suspect) is None
    assert give(registry) is not None


def test_people_are_told_why_a_job_waits() -> None:
    """From nobody at all to nobody free."""
    assert explain(JOB, fleet()) == "no worker is registered"
    mute = worker("a", types=())
    assert explain(JOB, fleet(mute)) == "none of 1 workers speaks t"
    elsewhere = worker("b", queues=("mail",))
    assert explain(JOB, fleet(elsewhere)) == "no worker that speaks t serves queue default"
    full, draining, lost = worker("c", 1, 0), worker("d"), worker("e")
    draining.draining = True
    lost.breaker.trip(0, "x")
    told = explain(JOB, fleet(full, draining, lost))
    assert told == (
        "3 of 3 workers can run this type, 1 draining, 1 unreachable, 1 with no free slot"
    )
    assert explain(JOB, fleet(worker("f"))).endswith("it waits for its turn")
