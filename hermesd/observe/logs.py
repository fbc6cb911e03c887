"""Logging: one line an event, for the journal, as JSON or for people, libraries' warnings too.

A library that logs through the standard library goes the same way out. Whatever is logged is
bounded, a payload or secret under its own name is withheld, and an output that has gone away
never stops the daemon.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from types import MappingProxyType, TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from hermesd.config.choices import LogFormat, LogLevel
from hermesd.config.secrets import MASK, without_passwords
from hermesd.observe.entries import ToJournal, placed
from hermesd.observe.journal import SOCKET, Journal, is_journal

MAX_TRACEBACK_CHARS: Final = 8000
MAX_FIELD_CHARS: Final = 2000
MAX_FRAMES: Final = 30
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 3
MAX_LOGGERS: Final = 1000
LIBRARY_LINES: Final = 10  # of one logger within LIBRARY_WINDOW_SECONDS
LIBRARY_WINDOW_SECONDS: Final = 60.0
WITHHELD: Final = frozenset({"payload", "result", "body", "password", "secret", "authorization"})

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure_logging(
    level: LogLevel,
    fmt: LogFormat,
    stream: TextIO,
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    journal_socket: str = SOCKET,
) -> FilteringBoundLogger:
    """Send the events of this process from `level` up to `stream`; the answer is the root logger.

    Where the format is `journal`, or `auto` and `environ` says that `stream` is the journal, they
    go there as entries with fields, and to `stream` as JSON only while no journal is there.
    Libraries are heard from `warning` up, whatever `level` says below that. Calling it again
    replaces what was set before; loggers bound earlier keep their output.
    """
    number = _number(level)
    fmt = _format(fmt, stream, environ)
    to_journal = fmt is LogFormat.JOURNAL
    output = cast(TextIO, _Steady(stream, patient=not to_journal))
    first: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bounded_traceback,
        bounded_fields,
    )
    renderer = _renderer(fmt, stream)
    if to_journal:
        first = (*first, placed())
        renderer = ToJournal(Journal(journal_socket), renderer)
    structlog.configure(
        processors=[*first, renderer],
        # A class of its own, whose level can be changed under the loggers that are bound.
        wrapper_class=type("Leveled", (structlog.make_filtering_bound_logger(number),), {}),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    handler = _RecordHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, left_out, *first],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(number, logging.WARNING))
    return cast(FilteringBoundLogger, structlog.get_logger())


def set_level(log: FilteringBoundLogger, level: LogLevel) -> None:
    """Send from `level` up from now on: `log`, and all that `configure_logging` had bound with it.

    `log` is bound itself.
    """
    type(log).__bases__ = (structlog.make_filtering_bound_logger(_number(level)),)
    logging.root.setLevel(max(_number(level), logging.WARNING))


def _number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _format(fmt: LogFormat, stream: TextIO, environ: Mapping[str, str]) -> LogFormat:
    """What `auto` means here."""
    if fmt is not LogFormat.AUTO:
        return fmt
    if stream.isatty():
        return LogFormat.CONSOLE
    descriptor = _descriptor(stream)
    if descriptor is not None and is_journal(descriptor, environ):
        return LogFormat.JOURNAL
    return LogFormat.JSON


def _renderer(fmt: LogFormat, stream: TextIO) -> Processor:
    if fmt is not LogFormat.CONSOLE:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _descriptor(stream: TextIO) -> int | None:
    """None where it is no file, or closed."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


class _RecordHandler(logging.Handler):
    """Writes what the standard library's loggers are told, unless the journal has it.

    Of each logger a bounded number a minute: a library tells of an outage again and again.
    """

    def __init__(self, output: TextIO) -> None:
        super().__init__()
        self._output = output
        self._told: dict[str, _Told] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filterer; `left_out` of a record are those before it that were too many."""
        if len(self._told) > MAX_LOGGERS:
            self._told.clear()
        told = self._told.setdefault(record.name, _Told(record.created))
        if record.created - told.since >= LIBRARY_WINDOW_SECONDS:
            record.left_out = max(told.lines - LIBRARY_LINES, 0)
            told.since, told.lines = record.created, 0
        told.lines += 1
        return told.lines <= LIBRARY_LINES

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            self._output.write(self.format(record) + "\n")
            self._output.flush()
        except structlog.DropEvent:
            return
        except Exception:
            self.handleError(record)


@dataclass
class _Told:
    """The lines of one logger in the window that began at that UTC second."""

    since: float
    lines: int = 0


def left_out(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Say with a library's line how many before it were left out."""
    if lines := getattr(event.get("_record"), "left_out", 0):
        event["lines_left_out"] = lines
    return event


def bounded_traceback(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Turn `exc_info` into a text of bounded length under `exception`, without local variables."""
    exc_info = _exc_info(event.pop("exc_info", None))
    if exc_info is not None:
        text = "".join(traceback.format_exception(*exc_info, limit=-MAX_FRAMES))
        event["exception"] = _middle_cut(text.rstrip("\n"), MAX_TRACEBACK_CHARS)
    return event


def _exc_info(value: Any) -> _ExcInfo | None:
    if isinstance(value, BaseException):
        return type(value), value, value.__traceback__
    found = value if isinstance(value, tuple) else sys.exc_info() if value else None
    return found if found and found[1] is not None else None


def _middle_cut(text: str, limit: int) -> str:
    """The head and the tail of a long text: where it began, and what was raised."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"


def bounded_fields(
    logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
) -> EventDict:
    """Withhold what must not be logged, cut what is long, and mask passwords in URLs.

    An object with fields of its own is told by its class alone, since a payload may be one of them.
    """
    for name, value in event.items():
        if name == "_record":  # the standard library's, removed before it is written
            continue
        if name in WITHHELD:
            event[name] = MASK
        elif name != "exception":
            event[name] = _bounded(value, MAX_DEPTH)
    return event


def _bounded(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no such number
    if isinstance(value, str | PurePath | BaseException):
        return _middle_cut(without_passwords(str(value)), MAX_FIELD_CHARS)
    if isinstance(value, Mapping) and depth:
        return {
            str(name): MASK if name in WITHHELD else _bounded(item, depth - 1)
            for name, item in islice(value.items(), MAX_ITEMS)
        }
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_bounded(item, depth - 1) for item in islice(value, MAX_ITEMS)]
    return f"<{type(value).__name__}>"


class _Steady:
    """A text output whose loss is suffered in silence: there is nowhere left to tell it.

    One that is not patient lets go what the reader has no room for, instead of waiting for it.
    """

    def __init__(self, stream: TextIO, *, patient: bool) -> None:
        self._stream = stream
        self._watched = None if patient else _descriptor(stream)

    def write(self, text: str) -> int:
        # OSError: the reader has gone; ValueError: closed, or a text the encoding lacks.
        with contextlib.suppress(OSError, ValueError):
            if self._watched is None or _has_room(self._watched):
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _has_room(descriptor: int) -> bool:
    """Whether a line can be written without waiting."""
    poll = select.poll()  # one that is kept could not be asked by two threads at a time
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
