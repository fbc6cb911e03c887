"""Which due fires run and which are let go, however long nobody could fire."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.errors import ChangedMeanwhile, Conflict, InvalidValue, NotFound
from hermesd.core.misfire import MAX_ROUND, due_fires, next_fire
from hermesd.core.schedule import (
    Misfire,
    Schedule,
    ScheduleDefinition,
    ScheduleTerms,
    Source,
    by_hand,
    check_delete,
    check_put,
    check_schedule_name,
    jitter_of,
)


class Steps:
    """Fires at the multiples of a number of seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def fires_after(self, moment: float) -> Iterator[float]:
        number = int(moment // self.seconds)
        while True:
            number += 1
            yield float(number * self.seconds)


class Bursts:
    """Fires every second of the first minute of each day."""

    def fires_after(self, moment: float) -> Iterator[float]:
        time = int(moment // 1) + 1
        while True:
            if time % 86_400 < 60:
                yield float(time)
                time += 1
            else:
                time += 86_400 - time % 86_400


class Never:
    """Fires no more."""

    def fires_after(self, moment: float) -> Iterator[float]:
        return iter(())


def terms(misfire: Misfire = Misfire.RUN_ONCE, grace: float = 60.0, limit: int = 10):  # type: ignore[no-untyped-def]
    return ScheduleTerms(
        cron="-", type="t", misfire=misfire, misfire_grace_seconds=grace, catch_up_limit=limit
    )


MINUTELY = Steps(60)
T = 1_800_000_000.0  # on the minute


@pytest.mark.parametrize("misfire", list(Misfire))
def test_a_fire_on_time_runs_whatever_the_policy(misfire: Misfire) -> None:
    """And the next one is the next."""
    due = due_fires(MINUTELY, terms(misfire), T, T + 0.01)
    assert (due.times, due.missed, due.next_at) == ((T,), None, T + 60)


def test_a_fire_is_late_only_past_the_grace() -> None:
    """Exactly at it, it still runs."""
    assert due_fires(MINUTELY, terms(Misfire.SKIP, 30), T, T + 30).times == (T,)
    due = due_fires(MINUTELY, terms(Misfire.SKIP, 30), T, T + 30.5)
    assert (due.times, due.missed, due.next_at) == ((), T, T + 60)


def test_skipped_fires_do_not_run() -> None:
    """After ten minutes of nobody being there."""
    due = due_fires(MINUTELY, terms(Misfire.SKIP, 30), T, T + 645)
    assert (due.times, due.missed, due.next_at) == ((), T + 600, T + 660)


def test_one_run_stands_for_all_missed_fires() -> None:
    """Under the time of the last of them."""
    due = due_fires(MINUTELY, terms(Misfire.RUN_ONCE, 30), T, T + 645)
    assert (due.times, due.missed, due.next_at) == ((T + 600,), T + 540, T + 660)


def test_a_fire_on_time_stands_for_the_missed_ones_too() -> None:
    """There is no second one beside it."""
    due = due_fires(MINUTELY, terms(Misfire.RUN_ONCE, 30), T, T + 605)
    assert (due.times, due.missed) == ((T + 600,), T + 540)


def test_missed_fires_are_caught_up_to_a_bound() -> None:
    """The newest ones, oldest first."""
    due = due_fires(MINUTELY, terms(Misfire.CATCH_UP, 30, limit=3), T, T + 605)
    assert due.times == (T + 420, T + 480, T + 540, T + 600)
    assert (due.missed, due.next_at) == (T + 360, T + 660)


def test_more_than_a_round_goes_on_in_the_next_one() -> None:
    """Nothing is left out between them."""
    every, now = Steps(1), T + 250
    rule = terms(Misfire.SKIP, 1000)
    first = due_fires(every, rule, T, now)
    assert (len(first.times), first.next_at) == (MAX_ROUND, T + MAX_ROUND)
    second = due_fires(every, rule, first.next_at or 0.0, now)
    third = due_fires(every, rule, second.next_at or 0.0, now)
    assert [*first.times, *second.times, *third.times] == [T + n for n in range(251)]
    assert third.next_at == now + 1


@pytest.mark.parametrize("table", [Steps(1), Steps(7), Bursts()])
def test_years_of_missed_fires_are_decided_at_once(table: Steps | Bursts) -> None:
    """Without walking over each of them."""
    years = 20 * 365 * 86_400.0
    first = next_fire(table, T) or 0.0
    due = due_fires(table, terms(Misfire.CATCH_UP, 10, limit=100), first, T + years)
    assert len(due.times) == MAX_ROUND
    assert due.missed is not None
    assert T + years - 3 * 86_400 < due.times[0] <= T + years
    assert list(takewhile(lambda t: t <= due.times[-1], table.fires_after(due.missed))) == list(
        due.times
    )


def test_a_schedule_may_have_no_further_fire() -> None:
    """Then there is no next one."""
    assert due_fires(Never(), terms(), T, T + 1).next_at is None


@given(
    st.integers(1, 5000),
    st.integers(0, 40_000),
    st.floats(0, 50_000),
    st.sampled_from(list(Misfire)),
    st.floats(1, 40_000),
    st.integers(1, 100),
)
def test_the_decision_is_what_looking_at_every_fire_would_give(
    step: int, start: int, late: float, misfire: Misfire, grace: float, limit: int
) -> None:
    """All that are on time, and of the others what the policy says; never one twice or early."""
    table = Steps(step)
    first = next_fire(table, start) or 0.0
    now = first + late
    every = list(takewhile(lambda time: time <= now, table.fires_after(first - 1)))
    on_time = [time for time in every if time >= now - grace]
    others = [time for time in every if time < now - grace]
    kept = {
        Misfire.SKIP: 0,
        Misfire.RUN_ONCE: 0 if on_time else 1,
        Misfire.CATCH_UP: limit,
    }[misfire]
    late_ones = others[len(others) - min(kept, len(others)) :]
    expected = [*late_ones, *on_time]
    due = due_fires(table, terms(misfire, grace, limit), first, now)
    assert list(due.times) == expected[:MAX_ROUND]
    let_go = others[: len(others) - len(late_ones)]
    assert due.missed == (let_go[-1] if let_go else None)
    rest = expected[MAX_ROUND:]
    assert due.next_at == (rest[0] if rest else next_fire(table, now))


@given(st.text(max_size=20), st.integers(0, 4_000_000_000), st.floats(0, 86_400))
def test_jitter_is_the_same_for_a_fire_and_within_its_bound(
    name: str, time: int, most: float
) -> None:
    """No chance is in it."""
    jitter = jitter_of(name, float(time), most)
    assert jitter == jitter_of(name, float(time), most)
    assert 0 <= jitter <= most


def test_jitter_spreads() -> None:
    """Between schedules of one moment, and between fires of one schedule."""
    assert len({round(jitter_of(f"s{n}", T, 60), 3) for n in range(100)}) > 90
    assert len({round(jitter_of("s", T + n, 60), 3) for n in range(100)}) > 90


@given(st.floats(0, 4_000_000_000))
def test_a_fire_by_hand_never_has_a_time_of_the_schedules_own(now: float) -> None:
    """Those are whole seconds."""
    assert round(by_hand(now) * 1_000_000) % 1_000_000 != 0
    assert abs(by_hand(now) - now) < 0.000_01


def test_only_its_own_source_changes_a_schedule() -> None:
    """The configuration may take one over; what it has is not changed or deleted from outside."""
    definition = ScheduleDefinition(cron="* * * * *", type="t")
    own = Schedule(name="a", definition=definition, source=Source.API)
    configured = Schedule(name="a", definition=definition, source=Source.CONFIG)
    check_put(None, "a", Source.API, replace=False)
    check_put(own, "a", Source.API, replace=True)
    check_put(own, "a", Source.CONFIG, replace=True)
    check_put(configured, "a", Source.CONFIG, replace=True)
    with pytest.raises(Conflict, match="already"):
        check_put(own, "a", Source.API, replace=False)
    with pytest.raises(Conflict, match="only be changed there"):
        check_put(configured, "a", Source.API, replace=True)
    check_delete(own, "a", Source.API)
    check_delete(configured, "a", Source.CONFIG)
    with pytest.raises(Conflict, match="only be deleted there"):
        check_delete(configured, "a", Source.API)
    with pytest.raises(Conflict, match="not of the configuration"):
        check_delete(own, "a", Source.CONFIG)
    with pytest.raises(NotFound):
        check_delete(None, "a", Source.API)


def test_a_schedule_is_changed_and_deleted_as_it_was_seen_or_not_at_all() -> None:
    """The error tells the etag that it has now; `*` is any, but not none."""
    definition = ScheduleDefinition(cron="* * * * *", type="t")
    own = Schedule(name="a", definition=definition, source=Source.API)
    for expected in ({own.etag}, {"other", own.etag}, {"*"}):
        check_put(own, "a", Source.API, replace=True, expected=expected)
        check_delete(own, "a", Source.API, expected)
    with pytest.raises(ChangedMeanwhile, match=own.etag):
        check_put(own, "a", Source.API, replace=True, expected={"other"})
    with pytest.raises(ChangedMeanwhile, match=own.etag):
        check_delete(own, "a", Source.API, {"other"})
    with pytest.raises(ChangedMeanwhile, match="any more"):
        check_put(None, "a", Source.API, replace=True, expected={"*"})


class LaterDefinition(ScheduleDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That of a release that has one key more."""

    colour: str = ""


def test_apis_of_two_releases_know_a_schedule_by_the_same_etag() -> None:
    """While nobody uses what only the newer one has; a value spelled out is no other schedule."""
    terms: dict[str, Any] = {"cron": "* * * * *", "type": "t", "labels": {"a": "b"}}
    spelled = {**terms, "timezone": "UTC", "payload": msgspec.Raw(b"{}")}
    made = [
        ScheduleDefinition(**terms),
        LaterDefinition(**terms),
        ScheduleDefinition(**spelled),
        LaterDefinition(**terms, colour="red"),
        ScheduleDefinition(**terms, payload=msgspec.Raw(b"[]")),
    ]
    tags = [Schedule(name="a", definition=one, source=Source.API).etag for one in made]
    assert tags[0] == tags[1] == tags[2]
    assert len(set(tags)) == 3


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "ä", "a" * 101, "a\n"])
def test_what_is_no_name_is_told(name: str) -> None:
    """Names go into paths and labels."""
    with pytest.raises(InvalidValue, match="no schedule's name"):
        check_schedule_name(name)


@pytest.mark.parametrize(
    "members",
    [
        {"jitter_seconds": -1.0},
        {"jitter_seconds": float("nan")},
        {"jitter_seconds": 86_401.0},
        {"misfire_grace_seconds": 0.0},
        {"misfire_grace_seconds": float("inf")},
        {"catch_up_limit": 0},
        {"catch_up_limit": 101},
        {"cron": "*" * 201},
        {"description": "x" * 1001},
        {"labels": {"schedule": "other"}},
        {"labels": {"fire_time": "now"}},
    ],
)
def test_a_value_out_of_its_range_is_told(members: dict[str, object]) -> None:
    """When the definition is made."""
    with pytest.raises(InvalidValue):
        ScheduleTerms(**({"cron": "* * * * *", "type": "t"} | members))  # type: ignore[arg-type]
