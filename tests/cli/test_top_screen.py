"""The screen of `hermesd top` and its keys, without a terminal and without an api."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from hermesd.cli.top_known import Known, Pane, by_band
from hermesd.cli.top_panes import short, size
from hermesd.cli.top_screen import screen, shares
from hermesd.cli.top_summary import Summary
from hermesd.cli.top_view import View
from hermesd.client import Event, JobView, QueueView, Stats, WorkerView
from hermesd.client.answers import Flow, Quantiles, Recent
from hermesd.core.job import ErrorInfo
from hermesd.core.states import State

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SIZES = [(80, 24), (200, 50), (40, 12)]


def worker(name: str, status: str = "busy") -> WorkerView:
    """One that was heard of 3 s ago."""
    return WorkerView(
        worker_id=name,
        incarnation=f"{name}-incarnation",
        status=status,
        last_seen_unix=NOW.timestamp() - 3,
        load={"cpu": 0.42, "loop_lag_seconds": 0.0012, "rss_bytes": 51 * 1024 * 1024},
        slots={"async": 128, "process": 2},
        free={"async": 120, "process": 2},
        machine="host-1",
        queues=("default",),
    )


def job(number: int, state: State, message: str = "no use") -> JobView:
    """One of 90 s ago."""
    error = ErrorInfo(kind="permanent", message=message, traceback="Traceback:\n  a line")
    return JobView(
        id=f"01a20290-0dc3-708a-a100-{number:012}",
        type="mail.send",
        state=state,
        queue="default",
        priority=7,
        attempts=1,
        max_attempts=5,
        created_at=NOW - timedelta(seconds=90),
        finished_at=NOW - timedelta(seconds=45),
        error=error if state is State.FAILED else None,
        raw_payload=msgspec.Raw(b'"' + b"x" * 5000 + b'"'),
    )


@pytest.fixture
def known() -> Known:
    """A busy deployment."""
    times = Quantiles(p50=0.0034, p95=0.12, p99=2.5)
    queue = QueueView(
        name="default", waiting=9, by_priority={"10": 1, "7": 2, "3": 6}, oldest_seconds=130
    )
    return Known(
        "http://api:8081",
        NOW,
        summary=Summary(
            api="a1",
            jobs={"queued": 9, "running": 8},
            waiting={"total": 9, "critical": 1, "high": 2, "normal": 6, "oldest_seconds": 130},
            rung="store",
            rates={"submitted": 4981.4, "failed": 0.5},
        ),
        stats=Stats(recent=Recent(all=Flow(wait=times, run=times))),
        workers=[worker("w1"), worker("w2", "paused")],
        queues=[queue],
        jobs=[job(number, State.RUNNING) for number in range(50)],
        failures=[job(number, State.FAILED) for number in range(100, 103)],
        answered_at=NOW,
    )


def drawn(known: Known, view: View, columns: int, lines: int) -> list[str]:
    """The lines of the screen; no line is too long, and no more are there than fit."""
    console = Console(width=columns, height=lines, force_terminal=False)
    with console.capture() as captured:
        console.print(screen(known, view, NOW, columns, lines), width=columns, height=lines)
    found = captured.get().splitlines()
    assert len(found) <= lines
    assert max(map(cell_len, found)) <= columns
    return [line.rstrip() for line in found]


def opened(known: Known, job: JobView) -> View:
    """The view of somebody who has opened it."""
    known.opened = job
    known.history = [Event(time=NOW, kind="failed", worker_id="w1", run=1, attempt=1)]
    return View(opened=job.id)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
def test_everything_is_on_one_screen(known: Known, columns: int, lines: int) -> None:
    """The four lists, the counts, the rates and the percentiles."""
    shown = drawn(known, View(), columns, lines)
    text = "\n".join(shown)
    for part in (
        "api a1",
        "rung store",
        "queued 9  running 8",
        "critical 1  high 2  normal 6  background 0)  oldest 2m",
        "submitted 4981",
        "failed 0.5",
        "wait p50 3ms  p95 120ms  p99 2.5s",
        "WORKERS 2",
        "QUEUES 1",
        "JOBS 50",
        "FAILURES 3",
        "permanent: no use",
        "q quit",
    ):
        assert part in text
    [row] = [line.split() for line in shown if line.startswith("w1")]
    assert row[:7] == ["w1", "busy", "0.42", "8/130", "1ms", "51M", "3.0s"]


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_what_lies_over_the_lists_fits_too(known: Known, columns: int, lines: int) -> None:
    """The help, an opened job, a question."""
    drawn(known, View(helping=True), columns, lines)
    shown = drawn(known, opened(known, known.failures[0]), columns, lines)
    assert any(line.startswith("job       01a20290-0dc3-708a-a100") for line in shown)
    asking = View()
    asking.pressed("d", known)
    assert drawn(known, asking, columns, lines)[-1].startswith("drain worker w1? y/n")


def test_a_terminal_that_is_too_small_is_told_so(known: Known) -> None:
    """Nothing is drawn over itself."""
    assert drawn(known, View(), 30, 10)[:2] == ["hermesd top needs 40x12", "characters"]


def test_an_opened_job_shows_how_it_went(known: Known) -> None:
    """Its payload is cut; what does not fit is scrolled to, and not past the end."""
    view = opened(known, known.failures[0])
    shown = "\n".join(drawn(known, view, 80, 40))
    assert "permanent: no use" in shown
    assert "failed 1.1  w1" in shown
    assert "(4402 more characters)" in shown
    for _ in range(20):
        view.pressed("page-down", known)
    assert drawn(known, view, 80, 24)[-2] == "  a line"
    place = view.scroll
    view.pressed("k", known)
    assert view.scroll == place - 1
    view.pressed("escape", known)
    assert view.opened is None


def test_what_jobs_say_cannot_steer_the_terminal(known: Known) -> None:
    """Nor is it read as markup."""
    known.failures = [job(1, State.FAILED, "\x1b]0;t\x07 [red]no")]
    shown = "\n".join(drawn(known, View(), 80, 24))
    assert "\x1b" not in shown
    assert "[red]no" in shown


def test_silence_is_told_with_its_beginning(known: Known) -> None:
    """Since the last answer; the next one ends it."""
    known.unanswered()
    known.unanswered()
    since = NOW.astimezone().strftime("%H:%M:%S")
    assert f"no answer since {since}, trying again" in "\n".join(drawn(known, View(), 80, 24))
    known.answered("workers", NOW + timedelta(seconds=9))
    assert "no answer" not in "\n".join(drawn(known, View(), 80, 24))
    known.refused("queues", "not permitted", NOW)
    assert "queues: not permitted" in drawn(known, View(), 80, 24)


def test_without_summaries_the_statistics_have_to_do(known: Known) -> None:
    """Of an api that has no such stream."""
    recent = Recent(window_seconds=300, all=Flow(submitted=600))
    known.summary = None
    known.stats = Stats(api="a0", jobs={"queued": 3}, recent=recent)
    text = "\n".join(drawn(known, View(), 80, 24))
    assert "api a0" in text
    assert "queued 3" in text
    assert "submitted 2.0" in text


def test_the_chosen_row_stays_with_its_thing(known: Known) -> None:
    """Whatever comes before it; gone, its neighbour is chosen."""
    view = View(pane=Pane.JOBS)
    for _ in range(3):
        view.pressed("j", known)
    chosen = known.jobs[3].id
    known.jobs = [job(77, State.RUNNING), *known.jobs]
    assert (view.chosen(Pane.JOBS, known), view.place(Pane.JOBS, known)) == (chosen, 4)
    known.jobs = known.jobs[:2]
    assert view.place(Pane.JOBS, known) == 1
    known.jobs = []
    assert view.chosen(Pane.JOBS, known) is None


def test_the_last_row_is_in_sight_when_it_is_chosen(known: Known) -> None:
    """However many come before it."""
    view = View(pane=Pane.JOBS)
    for _ in range(60):
        view.pressed("down", known)
    assert any("000000000049" in line for line in drawn(known, view, 80, 24))


@pytest.mark.parametrize(
    ("pane", "key", "text"),
    [
        (Pane.WORKERS, "d", "drain worker w1"),
        (Pane.WORKERS, "p", "pause worker w1"),
        (Pane.WORKERS, "r", "resume worker w1"),
        (Pane.QUEUES, "p", "pause queue default"),
        (Pane.JOBS, "c", "cancel job 01a20290-0dc3-708a-a100-000000000000"),
        (Pane.FAILURES, "R", "retry job 01a20290-0dc3-708a-a100-000000000100"),
    ],
)
def test_an_order_is_asked_about_first(known: Known, pane: Pane, key: str, text: str) -> None:
    """y carries it out; any other key does not, q neither."""
    view = View(pane=pane)
    assert view.pressed(key, known) is None
    assert view.pressed("q", known) is None
    assert (view.question, view.ended) == (None, False)
    assert view.pressed(key, known) is None
    order = view.pressed("y", known)
    assert order is not None
    assert order.text == text


def test_a_key_of_another_list_says_so(known: Known) -> None:
    """Nothing is asked, and nothing ordered where nothing is listed."""
    view = View()
    view.pressed("c", known)
    assert view.note == "c is for a job: Tab leads there"
    known.workers = []
    view.pressed("d", known)
    assert view.question is None


def test_lines_are_shared_out_wholly() -> None:
    """The focused list first, then the others; each has some."""
    wanted = dict.fromkeys(Pane, 30)
    assert list(shares(wanted, Pane.QUEUES, 20).values()) == [3, 11, 3, 3]
    assert sum(shares(dict.fromkeys(Pane, 2), Pane.WORKERS, 50).values()) == 50


def test_numbers_are_short() -> None:
    """Six characters at most."""
    spans = (None, 0, 0.00035, 0.012, 0.9999, 9.96, 10, 130, 7200, 90 * 86_400)
    assert [short(each) for each in spans] == [
        *("", "0.0s", "350us", "12ms", "1000ms", "10.0s", "10s", "2m", "2h", "90d"),
    ]
    assert [size(each) for each in (0, 2048, 51 * 2**20, 3 * 2**30)] == ["0", "2k", "51M", "3G"]
    assert list(by_band({"10": 1, "8": 2, "3": 3, "0": 4}).values()) == [1, 2, 3, 4]
