"""What a submit says of its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.due import due_at
from hermesd.core.errors import InvalidValue

NOW = 1_800_000_000.0
MOST = 86_400.0


def test_nothing_said_means_at_once() -> None:
    """Neither a delay nor a time."""
    assert due_at(None, None, NOW, MOST) is None


@given(st.floats(min_value=0.001, max_value=MOST))
def test_a_delay_counts_from_now(delay: float) -> None:
    """In seconds."""
    assert due_at(delay, None, NOW, MOST) == NOW + delay


def test_a_time_is_taken_as_it_is() -> None:
    """To a millisecond."""
    assert due_at(None, NOW + 60, NOW, MOST) == pytest.approx(NOW + 60)


def test_what_has_passed_is_due_at_once() -> None:
    """No delay at all, or a time in the past."""
    assert due_at(0.0, None, NOW, MOST) is None
    assert due_at(None, NOW - 1, NOW, MOST) is None


@pytest.mark.parametrize(
    ("delay", "run_at"),
    [
        (-1.0, None),
        (MOST + 1, None),
        (float("inf"), None),
        (float("nan"), None),
        (None, NOW + MOST + 1),
        (1.0, NOW + 1),
    ],
)
def test_what_cannot_be_meant_is_refused(delay: float | None, run_at: float | None) -> None:
    """The past by a delay, the far future, both at once."""
    with pytest.raises(InvalidValue):
        due_at(delay, run_at, NOW, MOST)


def test_how_far_away_it_is_is_told_in_whole_figures() -> None:
    """Which a year in seconds has many of."""
    with pytest.raises(InvalidValue, match="at most 31536000 seconds away, got 100000000"):
        due_at(None, NOW + 1e8, NOW, 31_536_000.0)
    with pytest.raises(InvalidValue, match="from 0 to 31536000 seconds, got 100000000"):
        due_at(1e8, None, NOW, 31_536_000.0)
