"""One line an event, bounded, without secrets, whoever logs it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog

from hermesd.config import LogFormat, LogLevel
from hermesd.config.secrets import MASK
from hermesd.core.job import Job
from hermesd.observe.logs import LIBRARY_LINES, LIBRARY_WINDOW_SECONDS, configure_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A stream whose reader has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_a_line_of_json_with_its_bound_fields() -> None:
    """Level, UTC time and every field that was bound."""
    stream = io.StringIO()
    log = configure_logging(LogLevel.INFO, LogFormat.AUTO, stream)
    log.bind(worker="w1").info("job accepted", job="j1", took_seconds=0.5)
    (event,) = lines(stream)
    written = datetime.fromisoformat(event.pop("timestamp"))
    assert written.utcoffset() == timedelta(0)
    assert event == {
        "event": "job accepted",
        "level": "info",
        "worker": "w1",
        "job": "j1",
        "took_seconds": 0.5,
    }


def test_what_is_below_the_level_is_not_written() -> None:
    """From warning up: warning and error."""
    stream = io.StringIO()
    log = configure_logging(LogLevel.WARNING, LogFormat.JSON, stream)
    log.info("no")
    log.warning("yes")
    log.error("yes")
    assert [event["level"] for event in lines(stream)] == ["warning", "error"]


@pytest.mark.parametrize(
    ("fmt", "stream", "is_json"),
    [
        (LogFormat.AUTO, Terminal(), False),
        (LogFormat.AUTO, io.StringIO(), True),
        (LogFormat.JSON, Terminal(), True),
        (LogFormat.CONSOLE, io.StringIO(), False),
    ],
)
def test_people_get_the_console_format(fmt: LogFormat, stream: io.StringIO, is_json: bool) -> None:
    """On a terminal, unless told otherwise; colours only there."""
    configure_logging(LogLevel.INFO, fmt, stream).info("hello", a=1)
    text = stream.getvalue()
    assert text.startswith("{") is is_json
    assert "hello" in text
    assert ("\x1b[" in text) is (not is_json and stream.isatty())


def test_an_exception_is_told_within_bounds() -> None:
    """Both ends of a long traceback stay, without local variables."""

    def deep(depth: int) -> None:
        secret_local = "do-not-show"
        if depth == 0:
            raise ValueError("y" * 50_000 + secret_local[:0] + " the end")
        deep(depth - 1)

    stream = io.StringIO()
    log = configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    try:
        deep(100)
    except ValueError as exc:
        log.exception("it failed")
        log.error("given", exc_info=exc)
    for event in lines(stream):
        assert event["exception"].startswith("Traceback")
        assert event["exception"].endswith("the end")
        assert len(event["exception"]) < 9000
        assert "exc_info" not in event


def test_payloads_and_secrets_are_withheld() -> None:
    """Under their own names, inside of tables, in URLs and in structs."""
    stream = io.StringIO()
    log = configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    job = Job(id="j1", type="t", payload=msgspec.Raw(b'"hidden"'))
    log.info(
        "x",
        payload="hidden",
        url="amqp://u:hidden@h",
        job=job,
        error=ValueError("bad amqp://u:hidden@h"),
        nested={"password": "hidden", "deep": [{"ok": 1}]},
    )
    assert "hidden" not in stream.getvalue()
    (event,) = lines(stream)
    assert event["payload"] == MASK
    assert event["job"] == "<Job>"
    assert event["nested"] == {"password": MASK, "deep": [{"ok": 1}]}


def test_odd_values_are_written_as_json_all_the_same() -> None:
    """Long texts are cut, and what JSON lacks becomes a text."""
    stream = io.StringIO()
    log = configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    circle: list[Any] = []
    circle.append(circle)
    log.info(
        "x\ny", long="z" * 9000, many=list(range(900)), nan=float("nan"), lone="\udcff",
        circle=circle, keys={(1, 2): 3}, raw=b"abc",
    )  # fmt: skip
    (event,) = lines(stream)
    assert len(event["long"]) < 2100
    assert len(event["many"]) == 50
    assert (event["nan"], event["raw"], event["keys"]) == ("nan", "<bytes>", {"(1, 2)": 3})


def test_libraries_are_heard_from_warning_up() -> None:
    """They go the same way out, with their name and traceback."""
    stream = io.StringIO()
    configure_logging(LogLevel.DEBUG, LogFormat.JSON, stream)
    library = logging.getLogger("some.library")
    library.info("chatter")
    try:
        raise OSError("gone")
    except OSError:
        library.exception("lost %s", "peer")
    (event,) = lines(stream)
    assert (event["event"], event["level"], event["logger"]) == (
        "lost peer",
        "error",
        "some.library",
    )
    assert event["exception"].endswith("OSError: gone")


def test_a_library_that_says_the_same_again_and_again_is_cut_short() -> None:
    """Each logger has its bound, and what was left out is said with the next line."""
    stream = io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    noisy, other = logging.getLogger("noisy"), logging.getLogger("other")

    def say(logger: logging.Logger, created: float) -> None:
        record = logger.makeRecord(logger.name, logging.ERROR, "f", 1, "lost", (), None)
        record.created = created
        logger.handle(record)

    for second in range(40):
        say(noisy, 1000.0 + second)
    say(other, 1039.0)
    assert [event["logger"] for event in lines(stream)] == ["noisy"] * LIBRARY_LINES + ["other"]
    say(noisy, 1000.0 + LIBRARY_WINDOW_SECONDS)
    assert lines(stream)[-1]["lines_left_out"] == 40 - LIBRARY_LINES


def test_a_lost_output_stops_nobody() -> None:
    """Neither a broken pipe nor a closed stream raises."""
    log = configure_logging(LogLevel.INFO, LogFormat.JSON, Gone())
    log.info("x")
    logging.getLogger("some.library").warning("x")
    closed = io.StringIO()
    log = configure_logging(LogLevel.INFO, LogFormat.JSON, closed)
    closed.close()
    log.info("x")


def test_configuring_again_replaces_the_output() -> None:
    """No event is written twice."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.JSON, first)
    configure_logging(LogLevel.INFO, LogFormat.JSON, second)
    structlog.get_logger().info("x")
    logging.getLogger("some.library").warning("y")
    assert first.getvalue() == ""
    assert [event["event"] for event in lines(second)] == ["x", "y"]
