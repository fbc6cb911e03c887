"""When cron expressions fire, around the gaps and repetitions of the clocks on the wall too."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermesd.core.errors import InvalidValue
from hermesd.core.misfire import next_fire
from hermesd.cron import FORMS, timetable

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> float:
    """A moment, UTC unless it has an offset."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def fires(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next fires as the zone's clocks show them, with their offset."""
    found = islice(timetable(cron, zone).fires_after(utc(after)), count)
    return [datetime.fromtimestamp(time, ZoneInfo(zone)).isoformat() for time in found]


@pytest.mark.parametrize(
    ("cron", "first"),
    [
        ("*/5 * * * *", "2026-11-22T10:35:00"),
        ("0 0 * * *", "2026-11-23T00:00:00"),
        ("30 10 * * *", "2026-11-23T10:30:00"),
        ("15 14 1 * *", "2026-12-01T14:15:00"),
        ("0 22 * * 1-5", "2026-11-23T22:00:00"),
        ("0 0 * * SUN", "2026-11-29T00:00:00"),
        ("0 9 13 * FRI", "2026-11-27T09:00:00"),  # either day
        ("0 0 L * *", "2026-11-30T00:00:00"),
        ("0 12 * JAN MON#2", "2027-01-11T12:00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("@hourly", "2026-11-22T11:00:00"),
        ("@daily", "2026-11-23T00:00:00"),
        ("@midnight", "2026-11-23T00:00:00"),
        ("@weekly", "2026-11-29T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@annually", "2027-01-01T00:00:00"),
        ("@every 30s", "2026-11-22T10:30:30"),
        ("@every 1h30m", "2026-11-22T12:00:00"),
    ],
)
def test_an_expression_fires_next(cron: str, first: str) -> None:
    """After 2026-11-22T10:30:00Z, a Sunday."""
    assert next_fire(timetable(cron, "UTC"), utc("2026-11-22T10:30:00")) == utc(first)


def test_a_day_is_the_zones() -> None:
    """Midnight in Tokyo, in Kathmandu and in New York."""
    assert fires("0 0 * * *", "Asia/Tokyo", "2026-11-22T10:30", 1) == ["2026-11-23T00:00:00+09:00"]
    assert fires("0 0 * * *", "Asia/Kathmandu", "2026-11-22T10:30", 1) == [
        "2026-11-23T00:00:00+05:45"
    ]
    assert fires("0 0 * * *", "America/New_York", "2026-11-22T03:00", 1) == [
        "2026-11-22T00:00:00-05:00"
    ]


def test_a_time_in_the_gap_fires_at_the_first_moment_after_it() -> None:
    """In Berlin there is no 02:30 on 29 March 2026; the day before and after it is itself."""
    assert fires("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00", 3) == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_times_in_the_gap_and_at_its_end_are_one_fire() -> None:
    """02:00, 02:30 and 03:00 all are 03:00 then."""
    assert fires("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T23:00", 3) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]


def test_a_time_that_comes_twice_fires_the_first_time() -> None:
    """In Berlin there are two 02:30 on 25 October 2026, from wherever in that night it is seen."""
    expected = ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    assert fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == expected
    for later in ("2026-10-25T00:30:00", "2026-10-25T00:45:00", "2026-10-25T01:10:00"):
        assert fires("30 2 * * *", "Europe/Berlin", later, 1) == expected[1:]


def test_a_star_follows_real_time_over_the_gap() -> None:
    """Every half hour stays every half hour; what is bound to the missing hour does not fire."""
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00", 4) == [
        "2026-03-29T01:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-29T04:00:00+02:00",
    ]
    assert fires("*/30 2 * * *", "Europe/Berlin", "2026-03-29T00:00", 1) == [
        "2026-03-30T02:00:00+02:00"
    ]


def test_a_star_fires_in_both_of_two_equal_hours() -> None:
    """Hourly means 25 fires in that day."""
    found = fires("0 * * * *", "Europe/Berlin", "2026-10-24T23:30", 3)
    assert found == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]


def test_an_interval_knows_no_time_zone() -> None:
    """It goes on in equal steps through both nights."""
    every = timetable("@every 20m", "Europe/Berlin")
    for moment in ("2026-03-28T23:50:00", "2026-10-24T23:50:00"):
        times = list(islice(every.fires_after(utc(moment)), 20))
        assert {after - before for before, after in pairwise(times)} == {1200}


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("60 * * * *", "Bad minute"),
        ("* 25 * * *", "Bad hour"),
        ("* * * * MOO", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("5-1 * * * *", "Bad minute"),
        ("L * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 31 4,6 *", "Bad day-of-month"),
        ("@reboot", "none of @hourly"),
        ("@every", "none of @hourly"),
        ("@every 0s", "from 1s"),
        ("@every 400d", "to 366d"),
        ("@every 1.5h", "not like"),
        ("nonsense", "1 fields"),
    ],
)
def test_what_is_no_expression_is_told(cron: str, reason: str) -> None:
    """With the expression and what is wrong with it."""
    with pytest.raises(InvalidValue, match=reason):
        timetable(cron, "UTC")


@pytest.mark.parametrize("zone", ["", "Europe/Atlantis", "../etc/passwd", "/etc/passwd", "a\0b"])
def test_what_is_no_time_zone_is_told(zone: str) -> None:
    """Also where it is no name at all."""
    with pytest.raises(InvalidValue, match="no time zone"):
        timetable("* * * * *", zone)


minute = st.sampled_from(["*", "*/7", "0", "30", "59", "1,31", "10-50/20"])
hour = st.sampled_from(["*", "*/3", "0", "2", "23", "1-3", "0,2,12"])
day = st.sampled_from(["*", "1", "29", "31", "L", "*/9", "1,15"])
month = st.sampled_from(["*", "3", "10", "1,4", "2"])
weekday = st.sampled_from(["*", "SUN", "1-5", "MON#1", "5L"])
expressions = st.tuples(minute, hour, day, month, weekday).map(" ".join)
# Half an hour, an hour, southern, at midnight, a quarter off, with a day that was left out.
zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Casablanca",
    ]
)
moments = st.floats(min_value=1_262_304_000, max_value=2_208_988_800)  # 2010 to 2040
crons = st.one_of(expressions, st.sampled_from([*FORMS, "@every 45s", "@every 2d"]))


@settings(max_examples=300, deadline=None)
@given(crons, zones, moments)
def test_a_fire_is_after_the_moment_and_fires_rise(cron: str, zone: str, moment: float) -> None:
    """Whole seconds, each after the one before."""
    try:
        table = timetable(cron, zone)
    except InvalidValue:
        return  # 31 February and the like
    last = moment
    for time in islice(table.fires_after(moment), 20):
        assert time > last
        assert time == int(time)
        last = time


@settings(max_examples=300, deadline=None)
@given(crons, zones, moments, st.floats(min_value=0, max_value=1))
def test_what_comes_next_is_the_same_from_anywhere_before_it(
    cron: str, zone: str, moment: float, share: float
) -> None:
    """Nothing lies between a moment and its next fire, so that no wake-up in between changes it."""
    try:
        table = timetable(cron, zone)
    except InvalidValue:
        return
    first, *others = islice(table.fires_after(moment), 5)
    between = moment + (first - moment) * share
    if between < first:
        assert next_fire(table, between) == first
    before = first
    for time in others:
        assert next_fire(table, before) == time
        before = time
