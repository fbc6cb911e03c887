"""What is kept for the charts, and for how long, and what is shown of it."""

from __future__ import annotations

import pytest

from hermesd.core.chart import Chart
from hermesd.core.points import KeptPoint, Point, minutes_of
from hermesd.core.sketch import Sketch

NOON = 1_800_000_000  # a full five minutes


def step(at: int, submitted: int = 1, **fields: object) -> Point:
    """Five seconds, so many after noon."""
    return Point(at=NOON + at, seconds=5.0, submitted=submitted, **fields)  # type: ignore[arg-type]


def shown(chart: Chart, now: int, seconds: int) -> list[tuple[int, object, object]]:
    """When, how many and of how many seconds, of the steps that are known."""
    return [
        (at - NOON, point.submitted, point.seconds)
        for at, point in chart.window(NOON + now, seconds).steps
        if point is not None
    ]


def fill(chart: Chart, begin: int, end: int) -> None:
    """Steps and minutes as an api goes through them."""
    for at in range(begin, end, 5):
        chart.add(step(at))
        if (at + 5) % 60 == 0:
            chart.close(NOON + at - 55)


def test_a_window_has_all_its_steps() -> None:
    """Without gaps, the last one that is over at the end; what is not known is None."""
    chart = Chart()
    chart.add(step(0))
    chart.add(step(10))
    window = chart.window(NOON + 16, 60)
    assert window.step_seconds == 5
    assert [at - NOON for at, _ in window.steps] == list(range(-45, 15, 5))
    assert [at - NOON for at, point in window.steps if point] == [0, 10]


@pytest.mark.parametrize(
    ("seconds", "width", "steps"),
    [
        *((60, 5, 12), (900, 5, 180)),
        *((901, 60, 15), (21_600, 60, 360)),
        *((21_601, 300, 72), (86_400, 300, 288)),
    ],
)
def test_the_steps_fit_the_window(seconds: int, width: int, steps: int) -> None:
    """As many as a chart can show."""
    window = Chart().window(NOON, seconds)
    assert (window.step_seconds, len(window.steps)) == (width, steps)


def test_a_day_is_bounded_and_whole() -> None:
    """Fine steps go after a quarter of an hour, minutes after six; nothing is lost in the sums."""
    chart = Chart()
    fill(chart, 0, 90_000)
    kept = len(chart._steps) + len(chart._minutes) + len(chart._fives)
    assert kept < 1000
    assert [count for _, count, _ in shown(chart, 90_000, 900)] == [1] * 180
    assert [count for _, count, _ in shown(chart, 89_999, 21_600)] == [12] * 360
    assert [count for _, count, _ in shown(chart, 89_999, 86_400)] == [60] * 288


def test_the_last_minute_is_shown_as_far_as_it_is_known() -> None:
    """With its seconds, so that a rate can be told from it."""
    chart = Chart()
    fill(chart, 0, 75)
    assert shown(chart, 76, 3600) == [(0, 12, 60.0), (60, 3, 15.0)]
    assert shown(chart, 76, 30_000) == [(0, 15, 75.0)]


def test_what_several_apis_did_is_added_up() -> None:
    """Counts and durations are; of what all of them see it is the most."""
    first, second = Sketch(), Sketch()
    first.add(0.1, 3)
    second.add(10.0)
    chart = Chart()
    chart.add(step(0, 2, wait=first.packed(), waiting=(0, 1, 5, 0), slots=8, rung="amqp"))
    chart.add(step(0, 3, wait=second.packed(), waiting=(0, 2, 4, 0), slots=8, lag_seconds=0.5))
    [(_, point)] = [one for one in chart.window(NOON + 10, 60).steps if one[1]]
    assert point is not None
    assert (point.submitted, point.seconds, point.slots, point.lag_seconds) == (5, 5.0, 8, 0.5)
    assert point.waiting == (0, 2, 5, 0)
    whole = Sketch.unpacked(point.wait)
    assert whole.total == 4
    assert whole.quantile(0.5) == pytest.approx(0.1, rel=0.03)


def test_minutes_of_the_store_take_the_place_of_what_was_known() -> None:
    """They have what other apis, and other lives of this one, have done."""
    chart = Chart()
    fill(chart, 0, 300)
    chart.replace([Point(at=NOON + 60, seconds=60.0, submitted=500)])
    assert shown(chart, 299, 3600)[:2] == [(0, 12, 60.0), (60, 500, 60.0)]
    assert shown(chart, 299, 30_000) == [(0, 548, 300.0)]


def test_after_a_restart_fine_steps_are_the_shares_of_their_minutes() -> None:
    """So that the chart goes on; what this life has seen itself is not shared out again."""
    chart = Chart()
    chart.replace([Point(at=NOON, seconds=60.0, submitted=120, running=3)])
    chart.replace([Point(at=NOON + 60, seconds=20.0, submitted=40)])  # it stopped at 80
    chart.add(step(85, 7))
    chart.add(step(90, 7))
    found = shown(chart, 96, 120)
    assert found[:12] == [(at, 10.0, 5.0) for at in range(0, 60, 5)]
    assert found[12:17] == [(at, 8.0, 4.0) for at in range(60, 85, 5)]
    assert found[17:] == [(85, 7, 5.0), (90, 7, 5.0)]
    assert shown(chart, 96, 3600) == [(0, 120, 60.0), (60, 54, 30.0)]


def test_a_restart_within_a_step_loses_nothing_of_it() -> None:
    """Both lives have seen a part of that step, which here is the first of its minute."""
    chart = Chart()
    before = Point(at=NOON, seconds=2.0, submitted=7)
    chart.replace([before])
    chart.add(Point(at=NOON, seconds=1.5, submitted=1))
    assert [count for _, count, _ in shown(chart, 6, 60)] == [8]
    for at in range(5, 60, 5):
        chart.add(step(at, submitted=0))
    chart.close(NOON)
    chart.replace([Point(at=NOON, seconds=58.5, submitted=8)])  # as the store has both
    assert sum(count for _, count, _ in shown(chart, 70, 120)) == 8
    assert shown(chart, 70, 120)[0][:2] == (0, 8)


def test_the_minutes_of_all_lives_of_all_apis_are_the_fleets() -> None:
    """Lives of one api follow each other; apis work side by side."""
    lives = [
        KeptPoint(api="a", boot="1", point=Point(at=NOON, seconds=20.0, submitted=1)),
        KeptPoint(api="a", boot="2", point=Point(at=NOON, seconds=30.0, submitted=2)),
        KeptPoint(api="b", boot="1", point=Point(at=NOON, seconds=60.0, submitted=4)),
        KeptPoint(api="b", boot="1", point=Point(at=NOON + 60, seconds=60.0, submitted=8)),
    ]
    found = minutes_of(lives)
    assert [(point.at - NOON, point.submitted, point.seconds) for point in found] == [
        (0, 7, 60.0),
        (60, 8, 60.0),
    ]


def test_what_was_done_in_less_than_a_second_is_shown() -> None:
    """An api that was started and told to stop at once has done something all the same."""
    chart = Chart()
    chart.replace([Point(at=NOON, seconds=0.6, submitted=3)])
    chart.add(step(20))
    begun = [(at, number) for at, number, _ in shown(chart, 25, 60)]
    assert begun == [(0, 0.75), (5, 0.75), (10, 0.75), (15, 0.75), (20, 1)]


def test_after_the_clock_was_ahead_the_chart_goes_on_at_once() -> None:
    """What it has of the future is dropped, and blocks nothing that is older."""
    chart = Chart()
    fill(chart, 0, 120)
    fill(chart, 7_200, 7_330)
    assert chart.forget_future(NOON + 120, 60)
    assert not chart.forget_future(NOON + 120, 60)
    fill(chart, 120, 140)
    assert shown(chart, 140, 60)[-4:] == [(at, 1, 5.0) for at in range(120, 140, 5)]
    assert shown(chart, 140, 3600)[-1] == (120, 4, 20.0)
    assert shown(chart, 140, 30_000)[-1][1] == 28
