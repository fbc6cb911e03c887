"""The keys that take one of a few words."""

from __future__ import annotations

from enum import StrEnum


class LogLevel(StrEnum):
    """The least severe event that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    """How an event is written.

    `auto` is `console` on a terminal, `journal` where stderr is the systemd journal, else `json`.
    """

    AUTO = "auto"
    JOURNAL = "journal"
    JSON = "json"
    CONSOLE = "console"


class LoggedJobs(StrEnum):
    """Which lines on single jobs are written; `auto`: all, up to so many a second."""

    AUTO = "auto"
    ALL = "all"
    FAILURES = "failures"
    NONE = "none"


class QueueKind(StrEnum):
    """What carries jobs that no worker could take at once."""

    EMBEDDED = "embedded"
    AMQP = "amqp"
