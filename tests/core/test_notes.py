"""What a job may say of itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.errors import InvalidValue
from hermesd.core.notes import CUT_MARK, bounded, fraction_of, level_of


@pytest.mark.parametrize("value", [0, 1, 0.0, 0.4, 1.0, True])
def test_a_progress_is_a_number_from_0_to_1(value: Any) -> None:
    """Both ends included."""
    assert fraction_of(value) == float(value)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, -0.01, 1.000001, 40, "half", None, 10**400, [0.5]]
)
def test_anything_else_is_refused(value: Any) -> None:
    """By a ValueError that says what was given."""
    with pytest.raises(ValueError, match="progress must be a number from 0 to 1") as caught:
        fraction_of(value)
    assert isinstance(caught.value, InvalidValue)


def test_a_level_is_one_of_five() -> None:
    """As they are named in the log."""
    assert level_of("warning") == "warning"
    with pytest.raises(InvalidValue, match="none of debug, info"):
        level_of("WARN")


@given(st.text(max_size=80), st.integers(20, 60))
def test_a_text_is_bounded_and_storable(text: str, most: int) -> None:
    """At most so many bytes of UTF-8 without a NUL, and whole where it fits."""
    kept = bounded(text, most)
    assert len(kept.encode()) <= most
    assert "\0" not in kept
    if "\0" not in text and len(text.encode("utf-8", "replace")) <= most:
        assert kept == text.encode("utf-8", "replace").decode()


def test_what_is_cut_is_marked() -> None:
    """And never within a character."""
    kept = bounded("ü" * 100, 50)
    assert kept == "ü" * ((50 - len(CUT_MARK.encode())) // 2) + CUT_MARK
    assert bounded("a\ud800\0b", 50) == "a?�b"
