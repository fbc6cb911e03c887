"""How jobs come and end by type, and how long they take."""

from __future__ import annotations

import pytest

from hermesd.core.states import Move
from hermesd.observe.flow import Flow, whole


@pytest.mark.parametrize(
    ("move", "name"),
    [
        (Move.SUCCEED, "succeeded"),
        (Move.FAIL, "failed"),
        (Move.RETURN, "failed"),
        (Move.RETRY, "retried"),
        (Move.CANCEL, "cancelled"),
    ],
)
def test_each_end_is_counted_as_what_it_is(move: Move, name: str) -> None:
    """Once, with its time in a handler."""
    flow = Flow()
    flow.ended("mail", move, 2.0)
    found = whole(flow.copy().values())
    counts = [found.succeeded, found.failed, found.retried, found.cancelled]
    assert (getattr(found, name), sum(counts), found.run.total) == (1, 1, 1)


@pytest.mark.parametrize("move", [Move.SNOOZE, Move.RELEASE])
def test_what_is_no_end_counts_its_time_only(move: Move) -> None:
    """A snooze is neither a failure nor a success, and is not lost either."""
    flow = Flow()
    before = flow.copy()
    flow.ended("mail", move, 2.0)
    found = flow.since(before)["mail"]
    counts = [found.succeeded, found.failed, found.retried, found.cancelled]
    assert (sum(counts), found.run.total) == (0, 1)


def test_what_has_come_since_is_told_by_type() -> None:
    """Types without news are left out; a new one is whole."""
    flow = Flow()
    flow.submitted("mail", 3)
    flow.started("mail", {0.5: 3})
    flow.submitted("quiet", 1)
    before = flow.copy()
    flow.started("mail", {4.0: 1})
    flow.submitted("fresh", 2)
    since = flow.since(before)
    assert set(since) == {"mail", "fresh"}
    assert (since["mail"].submitted, since["mail"].started) == (0, 1)
    assert since["mail"].wait.quantile(0.5) == pytest.approx(4.0, rel=0.03)
    assert since["fresh"].submitted == 2
    assert flow.copy()["mail"].started == 4
    assert before["mail"].started == 3
