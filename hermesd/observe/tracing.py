"""What is traced, whoever does it: with OpenTelemetry it is observe/otel.py, else nobody.

Where nothing is traced no more than this module is imported. A job carries the trace context that
its client sent in any case, see core/trace.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final, Protocol

from hermesd.config.sections import TracingSection
from hermesd.core.errors import ConfigError
from hermesd.core.job import Job
from hermesd.core.outcome import Outcome
from hermesd.core.trace import InChild

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
DISABLED: Final = "OTEL_SDK_DISABLED"


class Request(Protocol):
    """A request that is being served; `context` is what the jobs that it submits belong to."""

    context: str | None

    def answered(self, status: int) -> None:
        """With this HTTP status."""


class Attempt(Protocol):
    """A handler that runs; `context` is what it may hand on."""

    context: str | None

    def ended(self, outcome: Outcome) -> None:
        """It has ended so."""


class Tracing(Protocol):
    """Tells of spans; nothing of it waits or raises."""

    @property
    def in_child(self) -> InChild:
        """How it goes on in child processes."""

    def request(self, route: str, context: str | None) -> AbstractContextManager[Request]:
        """A request is served in this block; `context` is its client's."""

    def sent(self, job: Job, since: float, until: float) -> None:
        """The job was on its way to its worker from and to these UTC seconds."""

    def attempt(self, job: Job) -> AbstractContextManager[Attempt]:
        """The job's handler runs in this block."""

    def close(self) -> None:
        """Send what has not been sent, for a bounded time."""


def is_wanted(section: TracingSection, environ: Mapping[str, str]) -> bool:
    """By the configuration, or by OpenTelemetry's own variables, which can also forbid it."""
    exporter = environ.get(EXPORTER, "").strip()
    if environ.get(DISABLED, "").strip().lower() == "true" or exporter == "none":
        return False
    return section.enabled or bool(exporter)


def open_tracing(
    section: TracingSection, environ: Mapping[str, str], version: str
) -> Tracing | None:
    """None where nothing is traced; raises ConfigError where it should be and cannot."""
    if not is_wanted(section, environ):
        return None
    try:
        from hermesd.observe import otel  # only here: it is optional, and costs 0.3 s
    except ImportError as error:
        raise ConfigError(
            [f"tracing.enabled: OpenTelemetry is missing ({error}): pip install 'hermesd[otel]'"]
        ) from error
    return otel.open_otel(environ, version)
