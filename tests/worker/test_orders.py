"""What a worker does with orders, one after another."""

from __future__ import annotations

from hermesd.core.orders import OrderKind, WorkerOrder
from hermesd.worker.orders import MOST_KNOWN, Standing


def order(number: int, kind: OrderKind, **members: object) -> WorkerOrder:
    """An order of that number."""
    return WorkerOrder(id=str(number), kind=kind, **members)  # type: ignore[arg-type]  # as given


def test_an_order_is_carried_out_once() -> None:
    """Whoever repeats it: a later one of another api stays in force."""
    standing = Standing()
    assert standing.obey(order(1, OrderKind.PAUSE, reason="why"), 10.0)
    assert (standing.paused, standing.since, standing.reason) == (True, 10.0, "why")
    assert standing.obey(order(2, OrderKind.RESUME), 20.0)
    assert not standing.obey(order(1, OrderKind.PAUSE), 30.0)
    assert (standing.paused, standing.since, standing.reason) == (False, 0.0, "")


def test_a_second_pause_only_changes_the_reason() -> None:
    """It has been paused since the first."""
    standing = Standing()
    standing.obey(order(1, OrderKind.PAUSE), 10.0)
    standing.obey(order(2, OrderKind.PAUSE, reason="why"), 20.0)
    assert (standing.since, standing.reason) == (10.0, "why")


def test_there_is_no_way_back_from_a_drain() -> None:
    """Pause and resume come too late; a second drain can hurry it."""
    standing = Standing()
    standing.obey(order(1, OrderKind.PAUSE), 5.0)
    assert standing.obey(order(2, OrderKind.DRAIN, reason="why"), 10.0)
    assert (standing.leave.is_set(), standing.at_once.is_set()) == (True, False)
    assert (standing.paused, standing.since, standing.reason) == (False, 10.0, "why")
    assert not standing.obey(order(3, OrderKind.RESUME), 20.0)
    assert not standing.obey(order(4, OrderKind.PAUSE), 20.0)
    assert standing.obey(order(5, OrderKind.DRAIN, at_once=True), 30.0)
    assert (standing.at_once.is_set(), standing.since, standing.reason) == (True, 10.0, "why")


def test_only_an_operators_drain_is_ordered() -> None:
    """A signal or the worker's own wish is not: then it may be started again."""
    standing = Standing()
    standing.leaves(10.0)
    assert (standing.leave.is_set(), standing.ordered) == (True, False)
    standing.obey(order(1, OrderKind.DRAIN), 20.0)
    assert (standing.ordered, standing.since) == (True, 10.0)


def test_what_is_remembered_is_bounded() -> None:
    """The oldest orders are forgotten."""
    standing = Standing()
    for number in range(MOST_KNOWN + 1):
        standing.obey(order(number, OrderKind.PAUSE), 1.0)
    assert standing.obey(order(0, OrderKind.PAUSE), 2.0)
    assert not standing.obey(order(MOST_KNOWN, OrderKind.PAUSE), 2.0)
