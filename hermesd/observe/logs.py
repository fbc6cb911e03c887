"""Logging: one line an event, as JSON or for people, the libraries' warnings among them.

A library that logs through the standard library goes the same way out. Whatever is logged is
bounded, a payload or secret under its own name is withheld, and an output that has gone away
never stops the daemon.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import islice
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from hermesd.config.secrets import MASK, without_passwords
from hermesd.config.sections import LogFormat, LogLevel

MAX_TRACEBACK_CHARS: Final = 8000
MAX_FIELD_CHARS: Final = 2000
MAX_FRAMES: Final = 30
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 3
WITHHELD: Final = frozenset({"payload", "result", "body", "password", "secret", "authorization"})

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure_logging(level: LogLevel, fmt: LogFormat, stream: TextIO) -> FilteringBoundLogger:
    """Send the events of this process from `level` up to `stream`; the answer is the root logger.

    Libraries are heard from `warning` up, whatever `level` says below that. Calling it again
    replaces what was set before; loggers bound earlier keep their output.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    output = cast(TextIO, _Steady(stream))
    first: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bounded_traceback,
        bounded_fields,
    )
    renderer = _renderer(fmt, stream)
    structlog.configure(
        processors=[*first, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *first],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(number, logging.WARNING))
    return cast(FilteringBoundLogger, structlog.get_logger())


def _renderer(fmt: LogFormat, stream: TextIO) -> Processor:
    terminal = stream.isatty()
    if fmt is LogFormat.JSON or (fmt is LogFormat.AUTO and not terminal):
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=terminal, exception_formatter=structlog.dev.plain_traceback
    )


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
    """A text output whose loss is suffered in silence: there is nowhere left to tell it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        # OSError: the reader has gone; ValueError: closed, or a text the encoding lacks.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
