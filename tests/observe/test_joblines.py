"""Lines on single jobs are written as the configuration says, and never more than it says."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from hermesd.config import Config, LogFormat, LogLevel
from hermesd.config.live import Live
from hermesd.observe.joblines import JobLines
from hermesd.observe.logs import configure_logging
from hermesd.testing.clock import ManualClock


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


class Scene:
    """Lines by a configuration, what they came to, and a clock that is set by hand."""

    def __init__(self, level: LogLevel = LogLevel.INFO, **settings: Any) -> None:
        self._stream = io.StringIO()
        self.live, self.clock = Live(config(**settings)), ManualClock()
        log = configure_logging(level, LogFormat.JSON, self._stream).bind()
        self.lines = JobLines(log, self.live, self.clock)

    def well(self, jobs: int = 1) -> int:
        """Tell of jobs that go well, as far as there is room."""
        granted = self.lines.room(jobs)
        for _ in range(granted):
            self.lines.tell("well", error=None)
        return granted

    def ill(self, *, final: bool = False) -> None:
        """Tell of one that does not."""
        self.lines.trouble("ill", final=final, error="e")

    def events(self) -> list[str]:
        """What was written since the last call."""
        written = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        self._stream.truncate(0)
        self._stream.seek(0)
        assert all(line.get("error", "") is not None for line in written)
        return [line["event"] for line in written]


def config(**settings: Any) -> Config:
    """As the file says under [log]."""
    return msgspec.convert({"log": settings}, Config)


def test_auto_writes_so_many_a_second_and_counts_the_rest() -> None:
    """Those on trouble have room of their own."""
    scene = Scene(jobs_per_second=3)
    assert [scene.well(), scene.well(5), scene.well()] == [1, 2, 0]
    for _ in range(5):
        scene.ill()
    assert scene.events() == ["well"] * 3 + ["ill"] * 3
    assert scene.lines.left_out == 6
    scene.clock.advance(0.9)
    assert scene.well() == 0
    scene.clock.advance(0.1)
    assert scene.well(2) == 2
    assert scene.lines.left_out == 7


@pytest.mark.parametrize(
    ("jobs", "written"),
    [("all", ["well"] * 9 + ["ill"] * 9), ("failures", ["ill"] * 2), ("none", [])],
)
def test_what_is_not_asked_for_is_not_left_out(jobs: str, written: list[str]) -> None:
    """All of them have no bound, failures have one."""
    scene = Scene(jobs=jobs, jobs_per_second=2)
    scene.well(9)
    for _ in range(9):
        scene.ill()
    assert scene.events() == written
    assert scene.lines.left_out == (7 if jobs == "failures" else 0)


def test_a_quiet_log_tells_only_of_jobs_that_failed_for_good() -> None:
    """The others are of level info, and cost nothing then."""
    scene = Scene(LogLevel.WARNING)
    assert scene.well() == 0
    scene.ill()
    scene.ill(final=True)
    assert scene.events() == ["ill"]
    assert scene.lines.left_out == 0


def test_a_replaced_configuration_holds_from_the_next_second_on() -> None:
    """No restart is needed."""
    scene = Scene(jobs="none")
    scene.live.reconfigure(config(jobs="all"))
    assert scene.well() == 0
    scene.clock.advance(1.0)
    assert scene.well(500) == 500
