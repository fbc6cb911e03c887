"""Latencies in buckets, and the timeline that never grows past its slices."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.bench.latencies import MAX_SLICES, Latencies, Timeline


@given(
    st.lists(st.floats(min_value=2e-6, max_value=1e4), min_size=1, max_size=200),
    st.floats(min_value=0.01, max_value=1.0),
)
def test_a_percentile_is_one_percent_off_at_most(seconds: list[float], share: float) -> None:
    """Of the value at the rank that it names."""
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    exact = sorted(seconds)[math.ceil(len(seconds) * share) - 1]
    assert latencies.within(share) == pytest.approx(exact, rel=0.011)
    assert latencies.max_seconds == max(seconds)


def test_without_any_latency_all_percentiles_are_0() -> None:
    """And so is the maximum."""
    assert (Latencies().within(0.5), Latencies().max_seconds, Latencies().total) == (0, 0, 0)


def test_nothing_is_lost_when_slices_are_joined() -> None:
    """A day of answers fits into the same few slices as a minute's."""
    timeline = Timeline()
    for second in range(0, 86_400, 37):
        timeline.add(float(second), 0.001 * (1 + second % 5))
    slices = list(timeline.slices())
    assert len(slices) <= MAX_SLICES
    assert sum(each.total for _, each in slices) == len(range(0, 86_400, 37))
    assert timeline.whole().max_seconds == pytest.approx(0.005)
    assert slices[-1][0] == pytest.approx(86_400, rel=0.02)
