"""What is logged becomes entries of the systemd journal, and nothing ever waits for it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from journals.receiver import Receiver, open_receiver
from structlog.typing import FilteringBoundLogger

import hermesd
from hermesd.config import LogFormat, LogLevel
from hermesd.config.secrets import MASK
from hermesd.observe.entries import MAX_FIELD_CHARS, MAX_FIELDS, MAX_LINE_CHARS
from hermesd.observe.journal import MAX_WAITING, Fate, Journal, encoded
from hermesd.observe.logs import configure_logging
from hermesd.observe.message_ids import MESSAGE_IDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The journal."""
    with open_receiver() as opened:
        yield opened


@pytest.fixture
def stderr() -> io.StringIO:
    """Where lines go that the journal cannot have."""
    return io.StringIO()


@pytest.fixture
def log(receiver: Receiver, stderr: io.StringIO) -> FilteringBoundLogger:
    """A log that goes to `receiver`."""
    return configure_logging(LogLevel.INFO, LogFormat.JOURNAL, stderr, journal_socket=receiver.path)


def test_an_event_is_an_entry_with_a_field_for_each_thing_said(
    receiver: Receiver, stderr: io.StringIO, log: FilteringBoundLogger
) -> None:
    """And one message that says it all, for people."""
    log.bind(worker_id="w1").info(
        "job ended", job_id="0199", attempt=2, queue="night shift", ran_seconds=0.5, error=None,
        well=True, counts={"a": 1},
    )  # fmt: skip
    assert receiver.next() == {
        "MESSAGE": "job ended worker_id=w1 job_id=0199 attempt=2"
        ' queue="night shift" ran_seconds=0.5 well=true counts="{\\"a\\": 1}"',
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "hermesd",
        "MESSAGE_ID": MESSAGE_IDS["job ended"],
        "HERMES_EVENT": "job ended",
        "HERMES_WORKER_ID": "w1",
        "HERMES_JOB_ID": "0199",
        "HERMES_ATTEMPT": "2",
        "HERMES_QUEUE": "night shift",
        "HERMES_RAN_SECONDS": "0.5",
        "HERMES_WELL": "true",
        "HERMES_COUNTS": '{"a": 1}',
    }
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("method", "priority"),
    [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")],
)
def test_levels_are_priorities(
    receiver: Receiver, stderr: io.StringIO, method: str, priority: str
) -> None:
    """As in syslog(3)."""
    log = configure_logging(LogLevel.DEBUG, LogFormat.JOURNAL, stderr, journal_socket=receiver.path)
    getattr(log, method)("x")
    assert receiver.next()["PRIORITY"] == priority


def test_a_warning_says_where_in_the_code_it_comes_from(
    receiver: Receiver, log: FilteringBoundLogger
) -> None:
    """Of an event of ours and of a library's; what is no trouble does not pay for it."""
    log.info("fine")
    log.warning("not fine", lineno="a field of its own")
    logging.getLogger("some.library").error("lost %s", "peer")
    fine, ours, library = receiver.next(), receiver.next(), receiver.next()
    assert not [name for name in fine if name.startswith("CODE_")]
    for entry in (ours, library):
        assert entry["CODE_FILE"] == __file__
        assert entry["CODE_FUNC"] == "test_a_warning_says_where_in_the_code_it_comes_from"
        assert int(entry["CODE_LINE"]) > 1
    assert (library["MESSAGE"], library["HERMES_LOGGER"]) == (
        "lost peer logger=some.library",
        "some.library",
    )


def test_an_exception_and_other_texts_of_several_lines_arrive_whole(
    receiver: Receiver, log: FilteringBoundLogger
) -> None:
    """Also what is no Unicode."""
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("it failed", text="a\nb=c\n", lone="\udcff", nul="a\0b")
    entry = receiver.next()
    assert entry["MESSAGE"].startswith("it failed ")
    assert entry["MESSAGE"].endswith("ValueError: first\nsecond")
    assert entry["HERMES_TEXT"] == "a\nb=c\n"
    assert (entry["HERMES_LONE"], entry["HERMES_NUL"]) == ("\\udcff", "a\0b")


def test_any_field_of_a_handler_has_a_name_that_the_journal_takes(
    receiver: Receiver, log: FilteringBoundLogger
) -> None:
    """None of them is taken for one of the journal's own, and there is a bound."""
    log.info("x", **{"größe": 1, "a=b\nc": 2, "n" * 99: 3, "message": "m", "_pid": 4, "": 5})
    entry = receiver.next()
    assert entry["HERMES_GR_SSE"] == "1"
    assert entry["HERMES_A_B_C"] == "2"
    assert entry["HERMES_MESSAGE"] == "m"
    assert entry["HERMES__PID"] == "4"
    log.info("x", **{f"key{number}": number for number in range(3 * MAX_FIELDS)})
    assert len(receiver.next()) <= MAX_FIELDS + 10


def test_what_is_too_large_for_a_datagram_goes_as_a_file(receiver: Receiver) -> None:
    """Sealed, as the journal demands it."""
    journal, size = Journal(receiver.path), 1000
    while not receiver.files:
        size *= 4
        assert journal.send(encoded({"MESSAGE": "x" * size, "HERMES_A": "1"})) is Fate.SENT
        assert receiver.next() == {"MESSAGE": "x" * size, "HERMES_A": "1"}
    assert size > 10_000


def test_no_entry_is_large(receiver: Receiver, log: FilteringBoundLogger) -> None:
    """Whatever a handler logs."""
    log.info("x", **{f"key{number}": [["y" * 2000] * 50] for number in range(3)})
    entry = receiver.next()
    assert len(entry["MESSAGE"]) <= MAX_LINE_CHARS
    assert max(len(text) for text in entry.values()) <= MAX_FIELD_CHARS


def test_payloads_and_secrets_are_withheld(receiver: Receiver, log: FilteringBoundLogger) -> None:
    """As everywhere."""
    log.info("x", payload="hidden", url="amqp://u:hidden@h", nested={"password": "hidden"})
    entry = receiver.next()
    assert "hidden" not in "".join(entry.values())
    assert entry["HERMES_PAYLOAD"] == MASK


def test_auto_is_the_journal_where_stderr_is(receiver: Receiver) -> None:
    """$JOURNAL_STREAM alone is no proof: it is inherited by programs whose stderr is another."""
    reading, writing = os.pipe()
    with open(reading) as lines, open(writing, "w", buffering=1) as stream:
        found = os.fstat(writing)
        here = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        there = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}
        for environ, event in (
            (here, "a"),
            (there, "b"),
            ({}, "c"),
            ({"JOURNAL_STREAM": "?"}, "d"),
        ):
            log = configure_logging(
                LogLevel.INFO, LogFormat.AUTO, stream, environ, journal_socket=receiver.path
            )
            log.info(event)
        assert receiver.next()["MESSAGE"] == "a"
        assert receiver.waiting() == []
        assert [json.loads(lines.readline())["event"] for _ in "bcd"] == ["b", "c", "d"]


def test_without_a_journal_lines_go_to_stderr(
    receiver: Receiver, stderr: io.StringIO, log: FilteringBoundLogger
) -> None:
    """And to the journal again once one is there."""
    log.info("one")
    receiver.close()
    log.info("two", a=1)
    logging.getLogger("some.library").warning("three")
    again = Receiver(receiver.path)
    log.info("four")
    assert again.next()["MESSAGE"] == "four"
    again.close()
    events = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["two", "three"]
    assert events[0]["a"] == 1
    assert not {"pathname", "lineno", "func_name"} & events[1].keys()


def test_a_journal_that_does_not_read_holds_up_nobody(
    receiver: Receiver, stderr: io.StringIO, log: FilteringBoundLogger
) -> None:
    """Much is kept for it, in order; what is too much is lost, and told of when it reads again."""
    written = 5 * MAX_WAITING
    for number in range(written):
        log.info("x", number=number)
    kept = [receiver.next() for _ in range(MAX_WAITING)]
    assert [entry["HERMES_NUMBER"] for entry in kept] == [str(each) for each in range(MAX_WAITING)]
    log.info("y")
    receiver.until(lambda entry: entry["MESSAGE"] == "y")
    told = [entry for entry in receiver.entries if entry["HERMES_EVENT"] == "log lines lost"]
    came = sum(entry["HERMES_EVENT"] == "x" for entry in receiver.entries)
    assert [(entry["HERMES_LINES"], entry["PRIORITY"]) for entry in told] == [
        (str(written - came), "4")
    ]
    assert stderr.getvalue() == ""


def test_neither_journal_nor_stderr_holds_up_anybody(tmp_path: Path) -> None:
    """Where nobody reads stderr either, lines are lost."""
    reading, writing = os.pipe()
    with open(reading), open(writing, "w") as stream:
        nowhere = str(tmp_path / "none")
        log = configure_logging(LogLevel.INFO, LogFormat.JOURNAL, stream, journal_socket=nowhere)
        for _ in range(2000):
            log.info("x", filling="y" * 1000)
        poll = select.poll()
        poll.register(writing, select.POLLOUT)
        assert not poll.poll(0)


def test_every_id_is_one_and_belongs_to_an_event_of_ours() -> None:
    """128 bits in hexadecimal; an event that was renamed would have lost its id."""
    ids = list(MESSAGE_IDS.values())
    assert len(set(ids)) == len(ids) > 20
    assert [each for each in ids if not re.fullmatch(r"[0-9a-f]{32}", each)] == []
    sources = [
        path for path in Path(hermesd.__file__).parent.rglob("*.py") if "gen" not in path.parts
    ]
    code = "".join(p.read_text() for p in sources if p.name != "message_ids.py")
    assert [event for event in MESSAGE_IDS if f'"{event}"' not in code] == []


def test_the_catalog_explains_every_id() -> None:
    """`journalctl -x` shows it."""
    catalog = (ROOT / "systemd" / "hermesd.catalog").read_text(encoding="utf-8")
    entries: dict[str, Any] = dict(
        re.findall(r"^-- ([0-9a-f]{32})\n((?:.+\n|\n(?!-- ))+)", catalog, re.MULTILINE)
    )
    assert entries.keys() == set(MESSAGE_IDS.values())
    for text in entries.values():
        assert re.match(r"Subject: .+\nDefined-By: hermesd\n", text)


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="needs journalctl")
def test_systemd_takes_the_catalog(tmp_path: Path) -> None:
    """All of it."""
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    shutil.copy(ROOT / "systemd" / "hermesd.catalog", folder)
    journalctl = ["journalctl", f"--root={tmp_path}"]
    subprocess.run([*journalctl, "--update-catalog"], check=True, timeout=60)
    dumped = subprocess.run(
        [*journalctl, "--dump-catalog"], check=True, timeout=60, capture_output=True, text=True
    )
    assert set(re.findall(r"^-- ([0-9a-f]{32})$", dumped.stdout, re.MULTILINE)) == set(
        MESSAGE_IDS.values()
    )
