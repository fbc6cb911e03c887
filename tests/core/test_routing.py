"""Which worker gets a job."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hermesd.core.breaker import Breaker
from hermesd.core.fleet import Registration, SlotView
from hermesd.core.job import Job, Kind
from hermesd.core.jobtype import JobType
from hermesd.core.registry import Registry
from hermesd.core.roster import LOAD_STEPS, rank_of
from hermesd.core.routing import choose, explain
from hermesd.core.workerview import Held, WorkerView

JOB = Job(id="j", type="t", payload=msgspec.Raw(b"1"))


def worker(name: str, size: int = 4, free: int | None = None, **changes: object) -> WorkerView:
    """A routable worker with so many async slots, and so many of them free."""
    registration = Registration(
        worker_id=name,
        incarnation=name,
        address="127.0.0.1:1",
        machine="m",
        version="0",
        slots={"async": size},
        types=(JobType(name="t", kind=Kind.ASYNC),),
        queues=("default",),
    )
    registration = msgspec.structs.replace(registration, **changes)
    view = WorkerView(registration, Breaker(0, min_backoff_seconds=1, max_backoff_seconds=1), 0, 0)
    told = dict.fromkeys(registration.slots, size if free is None else free)
    view.apply_view(SlotView(version=1, free=told))
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
    """By the used share of its slots, to a step of it; nobody where nothing is free."""
    views = [worker(f"w{n}", slots, min(free, slots)) for n, (slots, free) in enumerate(sizes)]
    choice = choose(JOB, fleet(*views))
    loads = {v: 1 - v.free("async") / v.slots["async"] for v in views if v.free("async") > 0}
    if choice is None:
        assert not loads
    else:
        step = 1 / LOAD_STEPS if choice.worker.slots["async"] >= 2 * LOAD_STEPS else 0
        assert loads[choice.worker] <= min(loads.values()) + step


@given(st.integers(1, 6), st.integers(1, 15), st.integers(0, 100))
def test_equal_workers_get_equal_shares(workers: int, slots: int, jobs: int) -> None:
    """Ties go round: no two differ by more than one job, and none gets more than its slots."""
    registry = fleet(*[worker(f"w{n}", slots) for n in range(workers)])
    shares = Counter(got for _ in range(jobs) if (got := give(registry)))
    counts = [shares[f"w{n}"] for n in range(workers)]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == min(jobs, workers * slots)


def by_the_rule(job: Job, registry: Registry) -> WorkerView | None:
    """Who is first by a look at every worker."""
    ranks = [
        rank
        for view in registry
        if view.routable
        and job.queue in view.queues
        and not (job.suspect and view.has_suspect)
        and (kind := view.kind_of(job.type)) is not None
        and (rank := rank_of(view, kind)) is not None
    ]
    return min(ranks)[-1] if ranks else None


FLAGS = ["draining", "drain_requested", "paused", "pause_requested"]


class Choosing(RuleBasedStateMachine):
    """Whatever happens to the workers, the rosters know it."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.reserved: list[tuple[WorkerView, Held]] = []
        self.names = 0
        self.version = 1

    def any_of(self, pick: int) -> WorkerView | None:
        """One of the workers."""
        views = list(self.registry)
        return views[pick % len(views)] if views else None

    @rule(slots=st.sampled_from([1, 2, 5, 16, 40]), threads=st.booleans(), mail=st.booleans())
    def joins(self, slots: int, threads: bool, mail: bool) -> None:
        """A worker of some size, of either kind, of one queue or two."""
        self.names += 1
        kind = Kind.THREAD if threads else Kind.ASYNC
        view = worker(
            f"w{self.names}",
            slots,
            types=(JobType(name="t", kind=kind), JobType(name="u", kind=Kind.ASYNC)),
            queues=("default", "mail") if mail else ("default",),
            slots={"async": slots, "thread": slots},
        )
        self.registry.add(view)

    @rule(pick=st.integers(0, 99))
    def leaves(self, pick: int) -> None:
        """A worker is gone."""
        if view := self.any_of(pick):
            self.registry.remove(view.incarnation)

    @rule(pick=st.integers(0, 99), flag=st.sampled_from(FLAGS))
    def turns(self, pick: int, flag: str) -> None:
        """A worker drains or is paused, or no longer."""
        if view := self.any_of(pick):
            setattr(view, flag, not getattr(view, flag))

    @rule(pick=st.integers(0, 99))
    def flips(self, pick: int) -> None:
        """A path breaks, or works again."""
        if view := self.any_of(pick):
            if view.breaker.closed:
                view.breaker.trip(0, "x")
            else:
                view.breaker.reset()

    @rule(pick=st.integers(0, 99), free=st.integers(0, 40), batches=st.booleans())
    def says(self, pick: int, free: int, batches: bool) -> None:
        """A worker tells its free slots."""
        self.version += 1
        if view := self.any_of(pick):
            slots = {"async": free, "thread": free}
            last = view.batch_number if batches else 0
            view.apply_view(SlotView(version=self.version, free=slots, last_batch=last))

    @rule(pick=st.integers(0, 99), kind=st.sampled_from(["async", "thread"]))
    def refuses(self, pick: int, kind: str) -> None:
        """A worker is full after all."""
        if view := self.any_of(pick):
            view.exhausted(kind)

    @rule(pick=st.integers(0, 99), name=st.sampled_from("tu"))
    def unlearns(self, pick: int, name: str) -> None:
        """A worker cannot run a type after all."""
        if view := self.any_of(pick):
            view.forget_type(name)

    @rule(pick=st.integers(0, 99))
    def gives_back(self, pick: int) -> None:
        """A job is not sent after all."""
        if self.reserved:
            view, held = self.reserved.pop(pick % len(self.reserved))
            view.unreserve(held)

    @rule(pick=st.integers(0, 99), arrives=st.booleans())
    def sends(self, pick: int, arrives: bool) -> None:
        """A batch goes out, and sometimes surely never arrives."""
        if view := self.any_of(pick):
            batch = [held for owner, held in self.reserved if owner is view]
            self.reserved = [each for each in self.reserved if each[0] is not view]
            number = view.number_batch(batch)
            if not arrives:
                view.forget_batch(number)

    @rule(
        name=st.sampled_from("tu"),
        queue=st.sampled_from(["default", "mail"]),
        crashes=st.sampled_from([0, 2]),
        jobs=st.integers(1, 20),
    )
    def asks(self, name: str, queue: str, crashes: int, jobs: int) -> None:
        """The next worker is the one that the rule says, each time."""
        job = msgspec.structs.replace(JOB, type=name, queue=queue, crash_count=crashes)
        for _ in range(jobs):
            choice, expected = choose(job, self.registry), by_the_rule(job, self.registry)
            assert (choice and choice.worker) is expected
            if choice is not None:
                held = Held(job, choice.kind, 0.0)
                choice.worker.reserve(held, self.registry.next_turn())
                self.reserved.append((choice.worker, held))


TestChoosing = Choosing.TestCase
TestChoosing.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(st.integers(1, 12), st.integers(16, 200), st.integers(0, 1000))
def test_a_burst_goes_out_in_few_batches(workers: int, slots: int, jobs: int) -> None:
    """No worker is ahead of another by more than a step, nor has more jobs than slots."""
    registry = fleet(*[worker(f"w{n}", slots) for n in range(workers)])
    shares = Counter(got for _ in range(jobs) if (got := give(registry)))
    counts = [shares[f"w{n}"] for n in range(workers)]
    step = slots // LOAD_STEPS
    assert max(counts) - min(counts) <= step
    assert sum(counts) == min(jobs, workers * slots)
    assert sum(0 < count < step for count in counts) <= 1


@given(st.integers(1, 12), st.integers(1, 200), st.lists(st.integers(1, 8), max_size=60))
def test_in_the_large_all_get_the_same(workers: int, slots: int, bursts: list[int]) -> None:
    """Bursts that are over when the next one comes go round among all workers."""
    registry = fleet(*[worker(f"w{n}", slots) for n in range(workers)])
    turns: Counter[str] = Counter()
    for version, burst in enumerate(bursts, start=2):
        for _ in range(min(burst, max(slots // LOAD_STEPS, 1))):
            give(registry)
        for view in registry:
            if view.unsent:
                turns[view.worker_id] += 1
                held = [Held(JOB, "async", 0.0) for _ in range(view.unsent)]
                number = view.number_batch(held)
                view.apply_view(SlotView(version=version, free={"async": slots}, last_batch=number))
    counts = [turns[f"w{n}"] for n in range(workers)]
    assert max(counts) - min(counts) <= 1


def test_ties_are_broken_by_the_longest_wait() -> None:
    """Also when slots free up in between."""
    registry = fleet(worker("a", 1), worker("b", 1))
    order = []
    for _ in range(4):
        choice = choose(JOB, registry)
        assert choice is not None
        held = Held(JOB, choice.kind, 0.0)
        choice.worker.reserve(held, registry.next_turn())
        order.append(choice.worker.worker_id)
        choice.worker.unreserve(held)
    assert order in (["a", "b", "a", "b"], ["b", "a", "b", "a"])


def test_only_who_can_take_it_is_chosen() -> None:
    """Not one that drains, is paused or unreachable, serves other queues, or has no such slot."""
    draining, asked, condemned, unreachable, paused = (worker(f"w{n}") for n in range(5))
    paused.paused = True
    draining.draining = asked.drain_requested = condemned.condemned = True
    unreachable.breaker.trip(0, "x")
    elsewhere = worker("w5", queues=("mail",))
    other = worker("w6", types=(JobType(name="u", kind=Kind.ASYNC),))
    thread = worker("w7", types=(JobType(name="t", kind=Kind.THREAD),))
    registry = fleet(draining, asked, condemned, unreachable, paused, elsewhere, other, thread)
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
    full, draining, lost, paused = worker("c", 1, 0), worker("d"), worker("e"), worker("g")
    draining.draining = paused.paused = True
    lost.breaker.trip(0, "x")
    told = explain(JOB, fleet(full, draining, lost, paused))
    assert told == (
        "4 of 4 workers can run this type, 1 draining, 1 paused, 1 unreachable, 1 with no free slot"
    )
    assert explain(JOB, fleet(worker("f"))).endswith("it waits for its turn")
