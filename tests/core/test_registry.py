"""Slots, leases and suspects as one api counts them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hermesd.core.breaker import Breaker
from hermesd.core.fleet import Heartbeat, Registration, SlotView, WorkerStatus
from hermesd.core.job import Job, Kind, Token
from hermesd.core.jobtype import CATCH_ALL, JobType
from hermesd.core.registry import Registry
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView

SLOTS = {"async": 3, "thread": 1}


def view_of(
    slots: Mapping[str, int] = SLOTS, types: tuple[str, ...] = ("t",), name: str = "i1"
) -> WorkerView:
    """A routable worker that has said that all its slots are free."""
    registration = Registration(
        worker_id="w",
        incarnation=name,
        address="127.0.0.1:1",
        machine="m",
        version="0",
        slots=slots,
        types=tuple(JobType(name=each, kind=Kind.ASYNC) for each in types),
        queues=("default",),
    )
    view = WorkerView(registration, Breaker(0, min_backoff_seconds=1, max_backoff_seconds=1), 0, 0)
    view.apply_view(SlotView(version=0, free=slots))
    view.breaker.reset()
    return view


def held_of(number: int = 1, *, lease: int = 1, crashes: int = 0, kind: str = "async") -> Held:
    """A lease."""
    job = Job(
        id=f"j{number}",
        type="t",
        payload=msgspec.Raw(b"1"),
        state=State.RUNNING,
        lease=lease,
        crash_count=crashes,
        crash_limit=2,
    )
    return Held(job, kind, 100.0)


def beat(number: int, *tokens: Token) -> Heartbeat:
    """A heartbeat that lists these."""
    view = SlotView(version=number, free={})
    return Heartbeat(incarnation="i1", api_boot="b", number=number, view=view, held=tokens)


def test_a_worker_is_full_until_it_has_said_what_is_free() -> None:
    """It may be busy with leases of an earlier life of the api."""
    registered = view_of()
    fresh = WorkerView(registered.registration, registered.breaker, 0, 0)
    assert fresh.free("async") == 0
    fresh.apply_view(SlotView(version=1, free={"async": 2}))
    assert fresh.free_slots() == {"async": 2, "thread": 0}


def test_a_view_cannot_show_slots_that_were_not_registered() -> None:
    """Whatever a worker says: load is a share of its slots."""
    view = view_of()
    view.apply_view(SlotView(version=9, free={"async": 99, "process": 5}))
    assert (view.free("async"), view.free("process")) == (3, 0)


def test_an_older_view_is_not_taken() -> None:
    """A report may overtake an accept answer."""
    view = view_of()
    assert view.apply_view(SlotView(version=5, free={"async": 1}))
    assert not view.apply_view(SlotView(version=4, free={"async": 3}))
    assert not view.apply_view(SlotView(version=5, free={"async": 3}))
    assert view.free("async") == 1


def test_a_view_that_knows_a_batch_counts_it_no_more() -> None:
    """What was sent since is counted on."""
    view = view_of()
    first, second = held_of(1), held_of(2)
    for held in (first, second):
        view.reserve(held, 1)
    assert view.number_batch([first]) == 1
    assert view.number_batch([second]) == 2
    view.apply_view(SlotView(version=1, free={"async": 2}, last_batch=1))
    assert view.free("async") == 1
    view.apply_view(SlotView(version=2, free={"async": 1}, last_batch=2))
    assert view.free("async") == 1


def test_a_forgotten_batch_frees_its_slots_once() -> None:
    """Also when a view knew it already."""
    view = view_of()
    held = held_of()
    view.reserve(held, 1)
    number = view.number_batch([held])
    view.forget_batch(number)
    view.forget_batch(number)
    assert view.free("async") == 3


def test_an_exhausted_kind_is_free_again_with_the_next_view() -> None:
    """Only that kind."""
    view = view_of()
    view.exhausted("async")
    assert view.free_slots() == {"async": 0, "thread": 1}
    view.apply_view(SlotView(version=1, free=SLOTS))
    assert view.free("async") == 3


def test_a_suspect_is_known_from_its_reservation_to_its_end() -> None:
    """Also where its lease is replaced, and whatever is done twice."""
    view = view_of()
    held = held_of(crashes=1)
    view.reserve(held, 1)
    assert view.has_suspect
    view.unreserve(held)
    assert not view.has_suspect
    view.reserve(held, 2)
    view.hold(held)
    view.hold(held_of(lease=2, crashes=1))
    assert view.drop("j1", 1) is None
    assert view.has_suspect
    assert view.drop("j1", 2) is not None
    assert not view.has_suspect
    assert view.drop("j1", 2) is None


def test_a_lease_is_missed_by_a_newer_heartbeat_only() -> None:
    """Newer than the answer that gave it; one that nobody accepted is not missed."""
    view = view_of()
    held, unsent = held_of(1), held_of(2)
    view.hold(held)
    view.hold(unsent)
    assert view.unlisted(beat(9)) == []
    held.accepted_number = 4
    assert view.unlisted(beat(4)) == []
    assert view.unlisted(beat(5, Token("j1", 1))) == []
    assert view.unlisted(beat(5, Token("j1", 2))) == [held]


def test_cancels_name_what_the_worker_lists() -> None:
    """Asked for or revoked; what it lists no longer is forgotten."""
    view = view_of()
    held = held_of()
    view.hold(held)
    held.job = msgspec.structs.replace(held.job, cancel_requested=True)
    view.revoked = {Token("old", 1), Token("gone", 1)}
    both = (Token("j1", 1), Token("old", 1))
    assert view.cancels(beat(1, *both)) == both
    assert view.revoked == {Token("old", 1)}
    assert view.cancels(beat(2)) == ()
    assert not view.revoked


def test_a_catch_all_speaks_what_nobody_named() -> None:
    """Its own types keep their own kind."""
    view = view_of(types=("t", CATCH_ALL))
    assert view.kind_of("anything") == "async"
    assert view_of().kind_of("anything") is None


def test_the_registry_knows_who_speaks_what() -> None:
    """Its index follows registrations and departures."""
    registry = Registry()
    one, two = view_of(name="i1"), view_of(types=("u",), name="i2")
    registry.add(one)
    registry.add(two)
    assert registry.speakers("t") == (one,)
    two.renew(msgspec.structs.replace(two.registration, types=one.registration.types))
    registry.add(two)
    assert registry.speakers("t") == (one, two)
    assert registry.remove("i1") is one
    assert registry.speakers("t") == (two,)
    two.hold(held_of())
    assert registry.holder("j1", 1) == (two, two.held["j1"])
    assert registry.holder("j1", 2) is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda view: None, WorkerStatus.IDLE),
        (lambda view: view.reserve(held_of(), 1), WorkerStatus.BUSY),
        (lambda view: view.breaker.trip(0, "x"), WorkerStatus.UNREACHABLE),
        (lambda view: setattr(view, "drain_requested", True), WorkerStatus.DRAINING),
        (lambda view: setattr(view, "pause_requested", True), WorkerStatus.PAUSED),
        (
            lambda view: view.apply_standing(msgspec.structs.replace(beat(1), paused=True)),
            WorkerStatus.PAUSED,
        ),
        (
            lambda view: view.apply_standing(
                msgspec.structs.replace(beat(1), paused=True, draining=True)
            ),
            WorkerStatus.DRAINING,
        ),
    ],
)
def test_a_worker_shows_how_it_is(change: object, status: WorkerStatus) -> None:
    """Idle, busy, unreachable, paused or draining; an order goes before all else."""
    view = view_of()
    change(view)  # type: ignore[operator]
    assert view.entry().status is status


def test_a_workers_own_word_replaces_what_was_ordered() -> None:
    """Since when and why are the worker's; what is on its way to it is kept until then."""
    view, told = view_of(), []
    view.pause_requested, view.since_utc, view.reason = True, 5.0, "ordered"
    its_own = msgspec.structs.replace(beat(2), paused=True, since=6.0, reason="its own")
    for heartbeat, requested in ((beat(1), True), (its_own, False), (beat(3), False)):
        view.pause_requested = requested
        view.apply_standing(heartbeat)
        told.append((view.since_utc, view.reason, view.routable))
    assert told == [(5.0, "ordered", False), (6.0, "its own", False), (None, "", True)]


class SlotAccounts(RuleBasedStateMachine):
    """An api and a worker that tell each other of slots, in any order and with any delay.

    The worker's truth: `taken` counts jobs in handlers. The api may think that less is free than
    is, for as long as news are under way, and never that more is: else it would dispatch too much.
    """

    @initialize()
    def begin(self) -> None:
        self.view = view_of({"async": 5})
        self.version = 0
        self.numbers = 0
        self.reserved: list[Held] = []
        self.outbox: list[Held] = []
        self.under_way: list[tuple[int, list[Held]]] = []
        self.answered: list[int] = []
        self.last_batch = 0
        self.running: list[Held] = []
        self.news: list[SlotView] = []

    def _say(self) -> None:
        self.version += 1
        free = {"async": 5 - len(self.running)}
        self.news.append(SlotView(version=self.version, free=free, last_batch=self.last_batch))

    @precondition(lambda self: self.view.free("async") > 0)
    @rule(crashes=st.integers(0, 1))
    def reserve(self, crashes: int) -> None:
        self.numbers += 1
        held = held_of(self.numbers, crashes=crashes)
        self.view.reserve(held, self.numbers)
        self.reserved.append(held)

    @precondition(lambda self: self.reserved)
    @rule(commit=st.booleans())
    def decide(self, commit: bool) -> None:
        held = self.reserved.pop(0)
        if commit:
            self.view.hold(held)
            self.outbox.append(held)
        else:
            self.view.unreserve(held)

    @precondition(lambda self: self.outbox and not self.under_way)
    @rule()
    def send(self) -> None:
        batch, self.outbox = self.outbox, []
        self.under_way.append((self.view.number_batch(batch), batch))

    @precondition(lambda self: self.outbox)
    @rule()
    def give_up(self) -> None:
        for held in self.outbox:
            self.view.free_unsent(held)
            self.view.drop(held.job.id, held.job.lease)
        self.outbox = []

    @precondition(lambda self: self.under_way)
    @rule(arrives=st.booleans())
    def arrive(self, arrives: bool) -> None:
        number, batch = self.under_way.pop()
        if arrives:
            self.running += batch
            assert len(self.running) <= 5
            self.last_batch = number
            self._say()
        else:
            self.view.forget_batch(number)
            for held in batch:
                self.view.drop(held.job.id, held.job.lease)

    @precondition(lambda self: self.running)
    @rule()
    def end(self) -> None:
        held = self.running.pop(0)
        self.view.drop(held.job.id, held.job.lease)
        self._say()

    @precondition(lambda self: self.news)
    @rule(index=st.integers(0, 100), lost=st.booleans())
    def hear(self, index: int, lost: bool) -> None:
        news = self.news.pop(index % len(self.news))
        if not lost:
            self.view.apply_view(news)

    @rule()
    def heartbeat(self) -> None:
        self._say()
        self.view.apply_view(self.news.pop())

    @invariant()
    def never_too_much(self) -> None:
        on_their_way = (
            len(self.reserved) + len(self.outbox) + sum(len(b) for _, b in self.under_way)
        )
        assert self.view.free("async") <= 5 - len(self.running) - on_their_way

    @invariant()
    def suspects_are_those_here(self) -> None:
        here = [*self.reserved, *self.view.held.values()]
        assert self.view.has_suspect == any(held.job.suspect for held in here)

    def teardown(self) -> None:
        """When all is said, everybody agrees."""
        for held in self.reserved:
            self.view.unreserve(held)
        self.reserved = []
        self.give_up()
        while self.under_way:
            self.arrive(True)
        self.heartbeat()
        assert self.view.free("async") == 5 - len(self.running)


SlotAccounts.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestSlotAccounts = SlotAccounts.TestCase
