"""Delays between attempts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.backoff import MAX_DELAY_SECONDS, Backoff, BackoffKind
from hermesd.core.errors import InvalidValue

delays = st.floats(0, MAX_DELAY_SECONDS)
backoffs = st.builds(
    Backoff,
    kind=st.sampled_from(BackoffKind),
    seconds=delays,
    factor=st.floats(1, 1e300) | st.just(math.inf),
    max_seconds=delays,
    jitter=st.floats(0, 1),
    delays=st.lists(delays, min_size=1, max_size=5).map(tuple),
)
chances = st.floats(0, 1, exclude_max=True)


@given(backoffs, st.integers(0, 10**6), chances)
def test_a_delay_is_within_its_bounds(backoff: Backoff, failures: int, chance: float) -> None:
    """Finite, not negative, at most `max_seconds`, whatever the numbers."""
    assert 0 <= backoff.delay_seconds(failures, chance) <= backoff.max_seconds


@given(backoffs, st.integers(1, 1000))
def test_chance_moves_a_delay_within_the_jitter(backoff: Backoff, failures: int) -> None:
    """The least delay is what jitter leaves of the most."""
    least, most = backoff.delay_seconds(failures, 0.0), backoff.delay_seconds(failures, 1.0)
    assert least <= most
    assert least == pytest.approx(most * (1 - backoff.jitter), abs=1e-6)


@given(backoffs.filter(lambda b: b.kind is not BackoffKind.LIST), st.integers(1, 100), chances)
def test_more_failures_wait_no_less(backoff: Backoff, failures: int, chance: float) -> None:
    """Exponential and fixed delays never shrink."""
    assert backoff.delay_seconds(failures + 1, chance) >= backoff.delay_seconds(failures, chance)


def test_the_three_shapes() -> None:
    """As the class says, and the last entry of a list is kept."""
    exponential = Backoff(seconds=2, factor=3, jitter=0)
    fixed = Backoff(kind=BackoffKind.FIXED, seconds=5, jitter=0)
    listed = Backoff(kind=BackoffKind.LIST, delays=(1, 10), jitter=0)
    assert [exponential.delay_seconds(n, 0) for n in (1, 2, 3)] == [2, 6, 18]
    assert [fixed.delay_seconds(n, 0) for n in (1, 2, 3)] == [5, 5, 5]
    assert [listed.delay_seconds(n, 0) for n in (1, 2, 3)] == [1, 10, 10]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", -1.0),
        ("seconds", math.nan),
        ("seconds", math.inf),
        ("max_seconds", MAX_DELAY_SECONDS + 1),
        ("factor", 0.5),
        ("factor", math.nan),
        ("jitter", 1.1),
        ("jitter", math.nan),
        ("delays", (1.0, -1.0)),
        ("delays", (math.nan,)),
    ],
)
def test_a_number_outside_of_its_range_is_refused_by_name(name: str, value: object) -> None:
    """NaN too, which compares with nothing."""
    with pytest.raises(InvalidValue, match=name):
        Backoff(**{name: value})  # type: ignore[arg-type]


def test_a_list_needs_an_entry() -> None:
    """Kind `list` alone says nothing."""
    with pytest.raises(InvalidValue, match="delays"):
        Backoff(kind=BackoffKind.LIST)
