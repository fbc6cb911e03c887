"""The words of running handlers until they are sent: bounded, and safe for threads."""

from __future__ import annotations

import threading

import msgspec
import pytest

from hermesd.core.job import Job, Token
from hermesd.core.notes import MAX_LINES, JobNotes
from hermesd.testing.clock import ManualClock
from hermesd.worker import notebook
from hermesd.worker.leases import Leases, Running
from hermesd.worker.notebook import Notebook


class Desk:
    """A notebook, the leases that it looks at, and how often it had news."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.clock = ManualClock()
        self.news = 0
        self.book = Notebook(self.leases, self.clock, self._news)

    def begin(self, name: str) -> Token:
        """A running job."""
        job = Job(id=name, type="t", payload=msgspec.Raw(b"{}"), lease=1)
        self.leases.begin(Running(job, job.token, "async", "api-1", 0.0, 10.0))
        return job.token

    def end(self, token: Token) -> None:
        """Its handler has ended."""
        self.leases.end(self.leases.running[token], None)

    def _news(self) -> None:
        self.news += 1


@pytest.fixture
def desk() -> Desk:
    """With nothing running."""
    return Desk()


def texts(notes: JobNotes) -> list[str]:
    """The lines."""
    return [line.line for line in notes.lines]


def test_news_of_a_job_are_told_once_until_they_are_taken(desk: Desk) -> None:
    """The last progress is the one that is sent."""
    token = desk.begin("a")
    for step in range(5):
        desk.book.progress(token, step / 10, f"step {step}")
        desk.book.line(token, "info", f"line {step}")
    assert desk.news == 1
    (notes,) = desk.book.take()
    assert notes.progress is not None
    assert (notes.progress.fraction, notes.progress.note) == (0.4, "step 4")
    assert notes.progress.at == desk.clock.utc()
    assert texts(notes) == [f"line {step}" for step in range(5)]
    assert not desk.book.due
    desk.book.progress(token, 0.5, "")
    assert desk.news == 2


def test_times_rise_from_line_to_line(desk: Desk) -> None:
    """By a microsecond, where the clock stands still or goes back."""
    token = desk.begin("a")
    for _ in range(3):
        desk.book.line(token, "info", "x")
    desk.clock.jump(-5)
    desk.book.line(token, "info", "x")
    times = [round(line.at * 1_000_000) for line in desk.book.take()[0].lines]
    assert times == [times[0] + place for place in range(4)]


def test_a_job_that_does_not_run_is_not_heard(desk: Desk) -> None:
    """Nothing is kept of it."""
    token = desk.begin("a")
    desk.end(token)
    desk.book.progress(token, 0.5, "")
    desk.book.line(token, "info", "x")
    desk.book.dropped(token, 3)
    assert (desk.news, desk.book.due, token in desk.book) == (0, False, False)


def test_lines_past_the_most_of_a_run_are_counted(desk: Desk) -> None:
    """Whether they were sent meanwhile or not."""
    token = desk.begin("a")
    kept = dropped = 0
    for _ in range(2):
        for number in range(MAX_LINES - 100):
            desk.book.line(token, "info", f"{number}")
        while notes := desk.book.take():
            kept += sum(len(one.lines) for one in notes)
            dropped += sum(one.dropped for one in notes)
            desk.book.done(notes)
    assert (kept, dropped) == (MAX_LINES, 2 * (MAX_LINES - 100) - MAX_LINES)


def test_what_waits_is_bounded_over_all_jobs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is counted, and room that is made is used again."""
    monkeypatch.setattr(notebook, "MAX_WAITING_LINES", 10)
    tokens = [desk.begin(name) for name in "abc"]
    for token in tokens:
        for _ in range(6):
            desk.book.line(token, "info", "x")
    notes = desk.book.take()
    assert [(len(one.lines), one.dropped) for one in notes] == [(6, 0), (4, 2), (0, 6)]
    desk.book.line(tokens[2], "info", "x")
    assert [len(one.lines) for one in desk.book.take()] == [1]


def test_a_call_takes_no_more_than_it_may(desk: Desk) -> None:
    """A job with much to say comes after the others with the rest of it."""
    loud, quiet = desk.begin("loud"), desk.begin("quiet")
    for _ in range(100):
        desk.book.line(loud, "info", "x" * 4000)
    desk.book.line(quiet, "info", "hush")
    first = desk.book.take()
    assert [one.token for one in first] == [loud, quiet]
    assert sum(line.size_bytes for one in first for line in one.lines) <= notebook.CALL_BYTES
    sent = len(first[0].lines)
    while notes := desk.book.take():
        assert [one.token for one in notes] == [loud]
        sent += len(notes[0].lines)
    assert sent == 100


def test_what_had_no_answer_is_told_again_in_order(desk: Desk) -> None:
    """As a repeat; a newer progress wins."""
    token = desk.begin("a")
    desk.book.line(token, "info", "one")
    desk.book.progress(token, 0.1, "old")
    notes = desk.book.take()
    assert desk.book.owes(token)
    desk.book.line(token, "info", "two")
    desk.book.progress(token, 0.2, "new")
    desk.book.put_back(notes)
    (again,) = desk.book.take()
    assert (texts(again), again.repeated) == (["one", "two"], True)
    assert again.progress is not None
    assert again.progress.note == "new"
    desk.book.done([again])
    assert not desk.book.owes(token)
    desk.book.line(token, "info", "three")
    assert [one.repeated for one in desk.book.take()] == [False]


def test_what_is_forgotten_makes_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while some of it is being sent."""
    monkeypatch.setattr(notebook, "MAX_WAITING_LINES", 5)
    gone, other = desk.begin("gone"), desk.begin("other")
    for _ in range(5):
        desk.book.line(gone, "info", "x")
    notes = desk.book.take()
    for _ in range(5):
        desk.book.line(gone, "info", "y")
    desk.end(gone)
    desk.book.forget(gone)
    desk.book.put_back(notes)
    for _ in range(5):
        desk.book.line(other, "info", "z")
    (left,) = desk.book.take()
    assert (left.token, len(left.lines), left.dropped) == (other, 5, 0)


def test_threads_may_all_tell_at_once(desk: Desk) -> None:
    """No line is lost, and none is told twice."""
    tokens = [desk.begin(f"job {number}") for number in range(8)]
    ready = threading.Barrier(len(tokens))

    def speak(token: Token) -> None:
        ready.wait()
        for number in range(500):
            desk.book.line(token, "info", f"{number}")
            desk.book.progress(token, number / 500, "")

    threads = [threading.Thread(target=speak, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    heard: dict[Token, list[str]] = {token: [] for token in tokens}
    while any(thread.is_alive() for thread in threads) or desk.book.due:
        notes = desk.book.take()
        for one in notes:
            heard[one.token] += texts(one)
        desk.book.done(notes)
    assert all(lines == [str(number) for number in range(500)] for lines in heard.values())
