"""What `GET /stats` says of the fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hermesd.api.fleet import LOOK_SECONDS, FleetBoard
from hermesd.core.breaker import Breaker
from hermesd.core.errors import StoreUnavailable
from hermesd.core.fleet import Incarnation, Registration, SlotView
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


async def test_workers_of_other_apis_are_there_while_the_store_is_away(
    autojump_clock: MockClock,
) -> None:
    """Who follows a drain must not take them to have gone."""

    class Steps:
        """The store's answers, one after another; then it is away."""

        def __init__(self, *answers: Sequence[Incarnation]) -> None:
            self.answers = list(answers)

        async def living(self) -> Sequence[Incarnation]:
            """See Fleet."""
            if not self.answers:
                raise StoreUnavailable("the server is away")
            return self.answers.pop(0)

    steps: Any = Steps([Incarnation(incarnation="i1", worker_id="w1", address="127.0.0.1:1")])
    board = FleetBoard(Registry())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.follow, steps)
        await trio.sleep(3 * LOOK_SECONDS)
        assert [entry.worker_id for entry in board.entries()] == ["w1"]
        steps.answers.append([])
        await trio.sleep(2 * LOOK_SECONDS)
        assert board.entries() == []
        nursery.cancel_scope.cancel()
