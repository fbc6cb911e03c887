"""Which finished jobs go, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.api.ids import JobIds
from hermesd.core.records import EndedJob
from hermesd.core.retention import (
    GRACE_SECONDS,
    MAX_BATCH_BYTES,
    Retention,
    Surplus,
    batches,
    first_id,
)
from hermesd.core.states import TERMINAL, State

NOW = 1_800_000_000.0
HOUR = 3600.0
KEPT = {State.SUCCEEDED: HOUR, State.FAILED: 10 * HOUR, State.CANCELLED: 2 * HOUR}

endings = st.lists(
    st.tuples(
        st.sampled_from(sorted(TERMINAL)),
        st.sampled_from(["a", "b"]),
        st.floats(min_value=0, max_value=20 * HOUR),
    ),
    max_size=40,
)


def ended(number: int, state: State, age: float, job_type: str = "a") -> EndedJob:
    return EndedJob(id=f"{number:04d}", type=job_type, state=state, finished_at=NOW - age)


def counted(jobs: list[EndedJob]) -> Counter[State]:
    return Counter(job.state for job in jobs)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_job_goes_when_its_time_is_over_and_not_before(state: State) -> None:
    """Each state has its own time."""
    retention = Retention(kept_seconds=KEPT)
    young, old = ended(1, state, KEPT[state] - 1), ended(2, state, KEPT[state])
    assert retention.choose([young, old], Surplus({}, 0), NOW) == [old]


def test_a_type_may_have_times_of_its_own() -> None:
    """Longer or shorter ones; what it does not name is as for all others."""
    types = {"long": {State.SUCCEEDED: 5 * HOUR}, "short": {State.SUCCEEDED: 60.0}}
    retention = Retention(kept_seconds=KEPT, types=types)
    jobs = [
        ended(number, state, 2.5 * HOUR, job_type)
        for number, (job_type, state) in enumerate(
            [
                ("long", State.SUCCEEDED),
                ("long", State.CANCELLED),
                ("short", State.SUCCEEDED),
                ("short", State.FAILED),
                ("a", State.SUCCEEDED),
            ]
        )
    ]
    assert retention.choose(jobs, Surplus({}, 0), NOW) == [jobs[1], jobs[2], jobs[4]]
    assert retention.ages(Surplus({}, 0))[State.SUCCEEDED] == 60.0


def test_nothing_goes_at_once() -> None:
    """Neither by a time of 0 nor to make room."""
    retention = Retention(kept_seconds=dict.fromkeys(TERMINAL, 0.0), max_finished=1)
    jobs = [ended(n, State.SUCCEEDED, age) for n, age in enumerate([9.9, GRACE_SECONDS])]
    for states in ({}, {State.SUCCEEDED: 5}):
        assert retention.choose(jobs, Surplus(states, 1), NOW) == [jobs[1]]


def test_failed_jobs_are_the_last_to_make_room() -> None:
    """Only where there are not enough others."""
    states = {State.SUCCEEDED: 3, State.CANCELLED: 2, State.FAILED: 10, State.RUNNING: 99}
    some, many = Surplus(states, 12), Surplus(states, 8)
    assert (some.others, some.failed) == (3, 0)
    assert (many.others, many.failed) == (5, 2)
    assert not Surplus(states, 15)
    assert not Surplus(states, 0)


def test_one_that_goes_by_age_makes_room_too() -> None:
    """The surplus is not taken twice."""
    retention = Retention(kept_seconds=KEPT, max_finished=2)
    jobs = [ended(1, State.SUCCEEDED, 2 * HOUR), ended(2, State.SUCCEEDED, 60)]
    assert retention.choose(jobs, Surplus({State.SUCCEEDED: 3}, 2), NOW) == jobs[:1]


@given(endings=endings, most=st.integers(min_value=1, max_value=50))
def test_what_is_left_is_within_the_bound(
    endings: list[tuple[State, str, float]], most: int
) -> None:
    """Or is too young to go; and no failed job makes room while another one could."""
    retention = Retention(kept_seconds=KEPT, types={"b": {State.FAILED: 60.0}}, max_finished=most)
    jobs = [ended(number, state, age, kind) for number, (state, kind, age) in enumerate(endings)]
    surplus = Surplus(counted(jobs), most)
    gone = retention.choose(jobs, surplus, NOW)
    left = [job for job in jobs if job not in gone]
    assert len(left) <= most or surplus
    for job in left:
        kept = 60.0 if (job.type, job.state) == ("b", State.FAILED) else KEPT[job.state]
        assert NOW - job.finished_at < kept
    for job in gone:
        assert NOW - job.finished_at >= GRACE_SECONDS


@given(endings=endings, most=st.integers(min_value=0, max_value=50))
def test_all_that_may_go_is_looked_at(endings: list[tuple[State, str, float]], most: int) -> None:
    """The ages that a store is asked for leave out no job that would be chosen."""
    retention = Retention(kept_seconds=KEPT, types={"b": {State.FAILED: 60.0}}, max_finished=most)
    jobs = [ended(number, state, age, kind) for number, (state, kind, age) in enumerate(endings)]
    ages = retention.ages(Surplus(counted(jobs), most))
    for job in retention.choose(jobs, Surplus(counted(jobs), most), NOW):
        assert NOW - job.finished_at >= ages[job.state]


@given(
    given_jobs=st.lists(
        st.tuples(
            st.sampled_from(sorted(TERMINAL)),
            st.sampled_from([0, 100, MAX_BATCH_BYTES // 3, MAX_BATCH_BYTES, 2 * MAX_BATCH_BYTES]),
        )
    )
)
def test_a_batch_is_of_one_state_and_bounded_in_size(given_jobs: list[tuple[State, int]]) -> None:
    """But for a single job that is larger; all jobs are in one batch each."""
    jobs = {
        f"{number:04d}": EndedJob(
            id=f"{number:04d}", type="a", state=state, finished_at=NOW, size_bytes=size
        )
        for number, (state, size) in enumerate(given_jobs)
    }
    made = list(batches(jobs.values()))
    assert sorted(job_id for _, ids in made for job_id in ids) == list(jobs)
    for state, ids in made:
        assert ids
        assert {jobs[job_id].state for job_id in ids} == {state}
        size = sum(jobs[job_id].size_bytes for job_id in ids)
        assert size <= MAX_BATCH_BYTES or len(ids) == 1


@given(at=st.floats(min_value=0, max_value=4e9))
def test_the_first_id_sorts_before_those_made_from_then_on(at: float) -> None:
    """And behind those of the millisecond before."""
    assert first_id(at) < JobIds().new(at)
    assert first_id(at) < JobIds().new(at + 1)
    if at >= 0.001:
        assert JobIds().new(at - 0.001) < first_id(at) or int(at * 1000) == int((at - 0.001) * 1000)
