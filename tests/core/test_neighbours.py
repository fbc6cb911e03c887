"""Who is there, and whose a waiting job is first."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.job import Job
from hermesd.core.neighbours import NEGLECTED_SECONDS, PRESENT_SECONDS, Neighbours

ids = st.lists(st.uuids().map(str), unique=True, max_size=40)


def jobs_of(given_ids: list[str], **members: object) -> list[Job]:
    """Waiting jobs."""
    job = Job(id="", type="note", payload=msgspec.Raw(b"{}"))
    return [msgspec.structs.replace(job, id=each, **members) for each in given_ids]


def fleet(*names: str) -> list[Neighbours]:
    """Apis that all know each other."""
    apis = [Neighbours(name) for name in names]
    for api in apis:
        for name in names:
            if name != api._name:
                api.heard(name, "1", 0.0)
    return apis


@given(ids)
def test_each_job_is_of_one_share(given_ids: list[str]) -> None:
    """Of all that are there, exactly one prefers it."""
    apis = fleet("b", "a", "c")
    for job_id in given_ids:
        assert sum(api.mine(job_id) for api in apis) == 1


@given(ids)
def test_alone_one_takes_all(given_ids: list[str]) -> None:
    """In their order."""
    api = Neighbours("a")
    jobs = jobs_of(given_ids)
    assert api.alone
    assert api.pick(jobs, 0.0) == (jobs, set())
    assert api.all_mine(jobs)


@given(ids)
def test_somebody_goes_for_every_job(given_ids: list[str]) -> None:
    """At once its own api, and after a moment any; one with an empty share does not wait."""
    apis = fleet("a", "b")
    jobs = jobs_of(given_ids)
    picked = [api.pick(jobs, 10.0)[0] for api in apis]
    assert {job.id for each in picked for job in each} == set(given_ids)
    for api, mine in zip(apis, picked, strict=True):
        own = [job for job in jobs if api.mine(job.id)]
        assert mine == (own or jobs)
        later = 10.0 + NEGLECTED_SECONDS
        assert api.pick(jobs, later) == (jobs, set())


def test_what_is_left_to_others_is_told() -> None:
    """Their lines are not known as a whole."""
    [a, _] = fleet("a", "b")
    given_ids = [f"job-{number}" for number in range(20)]
    picked, left = a.pick(jobs_of(given_ids, priority=7), 0.0)
    assert 0 < len(picked) < 20
    assert left == {("default", "note", 7)}


def test_who_gets_on_with_its_share_is_left_alone() -> None:
    """However long the line is: only a first one that stays there is neglected."""
    [a, b] = fleet("a", "b")
    jobs = jobs_of([f"job-{number}" for number in range(40)])
    for second in range(10):
        picked, _ = a.pick(jobs, float(second))
        assert all(a.mine(job.id) for job in picked)
        jobs.remove(next(job for job in jobs if b.mine(job.id)))
    assert a.pick(jobs, 9.5)[1]
    assert a.pick(jobs, 9.5 + NEGLECTED_SECONDS) == (jobs, set())


def test_whoever_is_silent_or_leaves_is_not_there() -> None:
    """Two greetings may be lost."""
    api = Neighbours("a")
    assert api.heard("b", "1", 0.0)
    assert not api.heard("b", "1", 5.0)
    assert api.heard("c", "1", 1.0)
    assert api.heard("c", "2", 1.0)
    assert api.others == ("b", "c")
    assert api.forget_silent(1.0 + PRESENT_SECONDS) == ["c"]
    assert api.others == ("b",)
    api.left("b")
    api.left("b")
    assert api.alone


@given(ids)
def test_each_job_is_published_by_one_of_those_that_publish(given_ids: list[str]) -> None:
    """Of apis that have told each other so; one that does not is left out."""
    apis = fleet("b", "a", "c")
    for api in apis:
        for name in ("a", "b"):
            if name != api._name:
                assert api.said_of_broker(name, publishes=True)
                assert not api.said_of_broker(name, publishes=True)
    b, a, _ = apis
    for job_id in given_ids:
        assert a.publishes(job_id) != b.publishes(job_id)


def test_one_that_is_gone_publishes_nothing() -> None:
    """Its share is the others' again."""
    api, _ = fleet("a", "b")
    api.said_of_broker("b", publishes=True)
    assert api.publish
    api.forget_silent(PRESENT_SECONDS)
    assert not api.publish
    assert all(api.publishes(str(number)) for number in range(20))
