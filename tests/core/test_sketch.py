"""Durations in logarithmic buckets: near enough, and to be added up and taken away."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.sketch import Sketch

seconds = st.floats(min_value=2e-6, max_value=9e8)
many = st.lists(seconds, min_size=1, max_size=200)


def sketch(values: list[float]) -> Sketch:
    """Of these durations."""
    made = Sketch()
    for value in values:
        made.add(value)
    return made


@given(many, st.floats(min_value=0.01, max_value=1.0))
def test_a_quantile_is_near_the_true_one(values: list[float], share: float) -> None:
    """At most 2.5 % off."""
    true = sorted(values)[max(math.ceil(len(values) * share), 1) - 1]
    found = sketch(values).quantile(share)
    assert found == pytest.approx(true, rel=0.025)


@given(many, many)
def test_two_sketches_together_are_one_of_all(first: list[float], second: list[float]) -> None:
    """And what is taken away again leaves what was there."""
    whole, before = sketch(first), sketch(first)
    whole.merge(sketch(second))
    assert whole.packed() == sketch(first + second).packed()
    assert whole.total == len(first + second)
    assert whole.minus(before).packed() == sketch(second).packed()


@given(many)
def test_what_is_packed_is_unpacked_as_it_was(values: list[float]) -> None:
    """With its buckets and its number."""
    made = sketch(values)
    again = Sketch.unpacked(made.packed())
    assert again.packed() == made.packed()
    assert again.total == len(values)


def test_several_at_once_are_as_many() -> None:
    """Jobs of a batch wait as long as each other."""
    at_once, one_by_one = Sketch(), sketch([0.25] * 7)
    at_once.add(0.25, 7)
    assert at_once.packed() == one_by_one.packed()
    assert at_once.total == 7


def test_nothing_has_no_quantile() -> None:
    """And a copy goes its own way."""
    empty = Sketch()
    assert empty.quantile(0.5) is None
    assert empty.quantiles((0.5, 0.99)) == [None, None]
    copy = empty.copy()
    copy.add(1.0)
    assert (empty.total, copy.total) == (0, 1)


def test_what_no_clock_can_tell_is_bounded() -> None:
    """Nothing, less than nothing and for ever are the outermost buckets."""
    made = sketch([0.0, -1.0, 1e-9, 1e300])
    assert made.quantile(0.5) == pytest.approx(1e-6)
    assert made.quantile(1.0) == pytest.approx(1e9, rel=0.5)


def test_what_a_stranger_packed_does_no_harm() -> None:
    """Buckets that there are not, and half of a pair, are left out."""
    found = Sketch.unpacked((3, 2, -1, 5, 9_999, 1, 4, -2, 7))
    assert found.packed() == (3, 2)
    assert found.total == 2
