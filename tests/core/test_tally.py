"""Counts in memory."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

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
def test_an_amendment_adds_what_was_not_known(known: list[Job], told: list[Job]) -> None:
    """And lowers nothing, since the teller may be behind."""
    tally = tally_of(known)
    tally.amend(Counts(states={}, waiting=waiting(told)))
    expected = {**waiting(told), **waiting(known)}
    assert tally.counts().waiting == expected
    assert tally.waiting_total == sum(expected.values())


def test_changes_of_what_waits_are_counted() -> None:
    """So that counts read meanwhile are known to be outdated."""
    tally = Tally()
    job = Job(id="j", type="a", payload=msgspec.Raw(b"1"), state=State.RUNNING)
    tally.entered(job)
    tally.moved(State.RUNNING, State.SUCCEEDED)
    assert tally.waiting_changes == 0
    tally.entered(msgspec.structs.replace(job, state=State.QUEUED))
    assert tally.waiting_changes == 1
