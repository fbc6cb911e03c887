"""Counts in memory."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.changes import Changes
from hermesd.core.errors import NotFound, OutcomeUnknown, Unstorable
from hermesd.core.job import Job
from hermesd.core.records import Counts
from hermesd.core.states import State
from hermesd.core.tally import Tally

jobs = st.builds(
    Job,
    id=st.just("j"),
    type=st.sampled_from(["a", "b"]),
    payload=st.just(msgspec.Raw(b"1")),
    queue=st.sampled_from(["q", "r"]),
    priority=st.integers(0, 10),
    state=st.sampled_from(State),
)
crowds = st.lists(jobs, max_size=30)


def waiting(crowd: list[Job]) -> Counter[tuple[str, str, int]]:
    """The queued ones, by hand."""
    return Counter((j.queue, j.type, j.priority) for j in crowd if j.state is State.QUEUED)


def tally_of(crowd: list[Job]) -> Tally:
    """All of them entered."""
    tally = Tally()
    for job in crowd:
        tally.entered(job)
    return tally


@given(crowds, crowds)
def test_it_counts_as_one_would_by_hand(stay: list[Job], leave: list[Job]) -> None:
    """Whoever left is not counted, and empty places are not kept."""
    tally = tally_of(stay + leave)
    for job in leave:
        tally.left(job)
    by_hand = waiting(stay)
    counts = tally.counts()
    assert counts.waiting == dict(by_hand)
    assert tally.waiting_total == sum(by_hand.values())
    assert set(tally.pairs()) == {(queue, job_type) for queue, job_type, _ in by_hand}
    for state in State:
        assert tally.states[state] == sum(job.state is state for job in stay)
    for queue in ("q", "r"):
        assert tally.waiting_in(queue) == sum(n for (q, _, _), n in by_hand.items() if q == queue)


@given(crowds, st.sampled_from(["q", "r"]), st.integers(0, 10))
def test_who_is_ahead_has_the_priority_or_a_higher_one(
    crowd: list[Job], queue: str, priority: int
) -> None:
    """Of the same queue."""
    ahead = {t for (q, t, p) in waiting(crowd) if q == queue and p >= priority}
    assert set(tally_of(crowd).ahead(queue, priority)) == ahead


@given(crowds)
def test_leaving_what_is_not_counted_harms_nothing(crowd: list[Job]) -> None:
    """No count of waiting jobs is ever below 0."""
    tally = Tally()
    for job in crowd:
        tally.left(job)
    assert (tally.waiting_total, dict(tally.counts().waiting)) == (0, {})


@given(crowds, crowds)
def test_a_reset_is_what_the_store_says(before: list[Job], now: list[Job]) -> None:
    """Nothing of before is left, but in states that it did not count."""
    tally, other = tally_of(before), tally_of(now)
    states = {state: other.states[state] for state in State if not state.terminal}
    tally.reset(Counts(states=states, waiting=waiting(now)))
    ended = {state: tally_of(before).states[state] for state in State if state.terminal}
    assert {state: tally.states[state] for state in State} == states | ended
    assert tally.counts().waiting == other.counts().waiting
    assert tally.waiting_total == other.waiting_total


@given(crowds, crowds)
def test_with_nothing_under_way_the_store_is_right(known: list[Job], told: list[Job]) -> None:
    """Whatever was counted before, and nothing is in doubt any more."""
    tally, other = tally_of(known), tally_of(told)
    tally.changes.doubtful = True
    tally.reconcile(Counts(states=dict.fromkeys(State, 0) | other.states, waiting=waiting(told)), 0)
    assert {state: tally.states[state] for state in State} == {
        state: other.states[state] for state in State
    }
    assert tally.counts().waiting == waiting(told)
    assert tally.waiting_total == sum(waiting(told).values())
    assert not tally.changes.doubtful


@given(crowds, st.integers(1, 5))
def test_changes_under_way_are_counted_once(crowd: list[Job], settling: int) -> None:
    """Counts that have them already, or not yet, change nothing before they are counted."""
    tally = tally_of(crowd)
    tally.states[State.RUNNING] += settling
    after = Counter(tally.states)
    after[State.RUNNING] -= settling
    after[State.SUCCEEDED] += settling
    with tally.changes.of(settling):
        mark = tally.changes.mark()
        tally.reconcile(Counts(states=after, waiting=waiting(crowd)), tally.changes.since(mark))
        for _ in range(settling):
            tally.moved(State.RUNNING, State.SUCCEEDED)
    assert tally.states == after


def test_a_difference_that_no_change_explains_is_set_right() -> None:
    """Although changes are under way; and what waits unknown is known from then on."""
    tally = Tally()
    tally.states[State.RUNNING] = 9
    told = Counts(states={State.RUNNING: 4}, waiting={("q", "a", 3): 1})
    tally.reconcile(told, 4)
    assert tally.states[State.RUNNING] == 4
    assert tally.counts().waiting == {("q", "a", 3): 1}


def test_what_was_read_while_changes_began_or_ended_is_in_doubt() -> None:
    """So many jobs as had one under way, or were begun on since."""
    changes = Changes()
    with changes.of(2):
        mark = changes.mark()
    assert changes.since(mark) == 2
    with changes.of(3):
        assert changes.since(mark) == 5
    assert changes.since(changes.mark()) == 0


@pytest.mark.parametrize(
    ("error", "doubtful"),
    [(OutcomeUnknown("?"), True), (Unstorable("one of many"), True), (NotFound("no"), False)],
)
def test_a_change_of_unknown_fate_leaves_doubt(error: Exception, doubtful: bool) -> None:
    """A refusal of the whole leaves none."""
    changes = Changes()
    with pytest.raises(type(error)), changes.of(1):
        raise error
    assert (changes.under_way, changes.doubtful) == (0, doubtful)


def test_a_search_that_found_little_leaves_little_in_doubt() -> None:
    """Whether it was under way at the mark, or began later."""
    changes = Changes()
    before = changes.mark()
    with changes.of(1000):
        within = changes.mark()
        changes.fewer(998)
    assert (changes.since(before), changes.since(within)) == (2, 2)
    assert changes.since(changes.mark()) == 0
