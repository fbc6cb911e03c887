"""Who commits where: a disk that is slow, now and then or always, must not stop the event loop."""

from __future__ import annotations

import pytest

from hermesd.stores.pace import (
    ADVANCE_SECONDS,
    LONGEST_SECONDS,
    PAYBACK,
    QUICK_SECONDS,
    SLOW_BESIDE_SECONDS,
    SMALL_ROWS,
    HandOff,
    Pace,
)

SHARE = 1 / PAYBACK


@pytest.mark.parametrize(
    ("seconds", "away"),
    [
        ([], 0.0),
        ([QUICK_SECONDS] * 10_000, 0.0),
        ([ADVANCE_SECONDS * SHARE], 0.0),  # a hiccup that was paid for in advance
        ([0.03], 0.5),
        ([0.01, 0.01, 0.01], 0.5),  # the same in pieces
        ([0.2], 9.0),
        ([0.2, 0.001, 0.2], 19.0),
        ([5.0], LONGEST_SECONDS),
        ([5.0, 5.0], LONGEST_SECONDS),
    ],
)
def test_how_long_commits_stay_away_after_some_that_were_slow(
    seconds: list[float], away: float
) -> None:
    """Many times as long as those took, less what was paid in advance; with bounds."""
    pace = Pace()
    assert pace.inline(1, 100.0)
    for took in seconds:
        pace.took(took, 100.0)
    assert pace.inline(1, 100.0 + away + 1e-6)
    assert away == 0.0 or not pace.inline(1, 100.0 + away - 1e-6)


@pytest.mark.parametrize("took", [0.0021, 0.005, 0.02, 0.3, 1.0])
def test_slow_commits_take_a_small_part_of_all_time(took: float) -> None:
    """Of a disk that is always slow, even if nobody tells what the other thread sees of it."""
    pace, now, blocked = Pace(), 0.0, 0.0
    while now < 1000.0:
        if pace.inline(1, now):
            blocked += took
            pace.took(took, now + took)
        now += took
    assert blocked <= SHARE * (now + ADVANCE_SECONDS) + took


def test_a_disk_that_stays_slow_keeps_commits_away() -> None:
    """Until one of them was quick."""
    pace = Pace()
    pace.took(0.1, 0.0)
    pace.took_beside(0.1, 1, LONGEST_SECONDS)
    assert not pace.inline(1, LONGEST_SECONDS)
    pace.took_beside(QUICK_SECONDS, 1, LONGEST_SECONDS)
    assert pace.inline(1, LONGEST_SECONDS)
    assert not pace.inline(1, 0.1)  # what is owed is owed


def test_what_looks_slow_on_the_other_thread_is_tried_on_the_loop_after_a_while() -> None:
    """A busy loop lets that thread go on late, however quick the disk is."""
    pace = Pace()
    pace.took_beside(0.1, 1, 0.0)
    assert not pace.inline(1, SLOW_BESIDE_SECONDS - 1e-6)
    assert pace.inline(1, SLOW_BESIDE_SECONDS)


def test_a_large_group_says_only_that_the_disk_is_quick() -> None:
    """It takes long by itself; and it is always committed beside the loop."""
    pace = Pace()
    pace.took_beside(0.1, SMALL_ROWS + 1, 0.0)
    assert pace.inline(SMALL_ROWS, 0.0)
    assert not pace.inline(SMALL_ROWS + 1, 0.0)
    pace.took_beside(0.1, SMALL_ROWS, 0.0)
    pace.took_beside(QUICK_SECONDS, SMALL_ROWS + 1, 0.0)
    assert pace.inline(SMALL_ROWS, 0.0)


def test_a_store_far_away_is_never_committed_to_on_the_loop() -> None:
    """Not even the first time."""
    assert not HandOff().inline(1, 0.0)
