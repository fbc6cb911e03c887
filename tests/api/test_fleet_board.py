"""What `GET /stats` says of the fleet."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hermesd.api.fleet import FleetBoard
from hermesd.core.breaker import Breaker
from hermesd.core.fleet import Registration, SlotView
from hermesd.core.job import Job, Kind
from hermesd.core.jobtype import JobType
from hermesd.core.registry import Registry
from hermesd.core.workerview import Held, WorkerView

SLOTS = {"async": 3, "thread": 2}
JOB = Job(id="j", type="t", payload=msgspec.Raw(b"1"))
FLAGS = ["", "draining", "drain_requested", "paused", "pause_requested"]


def view_of(number: int, free: int, flag: str, broken: bool) -> WorkerView:
    """A worker with so many async slots free, that may be pausing or out of reach."""
    registration = Registration(
        worker_id=f"w{number}",
        incarnation=f"i{number}",
        address="127.0.0.1:1",
        machine="m",
        version="0",
        slots=SLOTS,
        types=(JobType(name="t", kind=Kind.ASYNC),),
        queues=("default",),
    )
    view = WorkerView(registration, Breaker(0, min_backoff_seconds=1, max_backoff_seconds=1), 0, 0)
    view.apply_view(SlotView(version=1, free=SLOTS | {"async": free}))
    if not broken:
        view.breaker.reset()
    if flag:
        setattr(view, flag, True)
    return view


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(FLAGS), st.booleans(), st.integers(0, 5)),
        max_size=6,
    )
)
def test_the_totals_are_those_of_the_entries(told: list[tuple[int, str, bool, int]]) -> None:
    """By status, with their slots; also where more jobs were sent than slots are free."""
    registry = Registry()
    for number, (free, flag, broken, jobs) in enumerate(told):
        view = view_of(number, free, flag, broken)
        view.reserve_all("async", jobs, 1)
        if jobs:
            view.hold(Held(JOB, "async", 0.0))
        registry.add(view)
    board = FleetBoard(registry)
    entries = board.entries()
    assert board.totals() == {
        "workers": len(told),
        "slots": sum(sum(entry.slots.values()) for entry in entries),
        "free": sum(sum(entry.free.values()) for entry in entries),
        "held": sum(jobs > 0 for *_, jobs in told),
        **Counter(entry.status for entry in entries),
    }
