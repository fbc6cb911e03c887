"""What a handler may know of the attempt that it runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hermesd.core.job import DEFAULT_PRIORITY, DEFAULT_QUEUE, Token
from hermesd.core.notes import MAX_NOTE_BYTES, bounded, fraction_of
from hermesd.core.trace import parts_of
from hermesd.handlers.notes import JobLog, Nobody, Said, TakesNotes

if TYPE_CHECKING:
    from hermesd.core.job import Job

_NOBODY: Final = Nobody()
_SAID: Final = Said()


def _never() -> bool:
    return False


class JobContext(msgspec.Struct, frozen=True, kw_only=True):
    """The second argument of a handler that takes one.

    `type` is the job's own type, also in a catch-all handler. `attempt` counts from 1.
    `timeout_seconds` is what the whole attempt may take. `settings` is the plugin's table of the
    configuration, [plugins.settings.NAME]; it may hold secrets. `is_cancelled`, `logger`, `notes`
    and `trace_context` are handed in by who runs the handler; handlers use `cancel_requested()`,
    `log`, `progress()`, `traceparent` and `tracestate`.
    """

    job_id: str
    type: str
    attempt: int = 1
    max_attempts: int = 1
    run: int = 1
    lease: int = 0
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    labels: Mapping[str, str] = {}
    timeout_seconds: float = 300.0
    settings: Mapping[str, Any] = {}
    is_cancelled: Callable[[], bool] = _never
    logger: Any = None
    notes: TakesNotes = _NOBODY
    trace_context: str | None = None

    @classmethod
    def for_job(
        cls,
        job: Job,
        *,
        settings: Mapping[str, Any] | None = None,
        is_cancelled: Callable[[], bool] = _never,
        logger: Any = None,
        notes: TakesNotes = _NOBODY,
        trace_context: str | None = None,
    ) -> JobContext:
        """The context of the attempt that `job`, as it was assigned, is in."""
        return cls(
            job_id=job.id,
            type=job.type,
            attempt=job.attempts,
            max_attempts=job.max_attempts,
            run=job.run,
            lease=job.lease,
            queue=job.queue,
            priority=job.priority,
            labels=job.labels,
            timeout_seconds=job.timeout,
            settings=settings or {},
            is_cancelled=is_cancelled,
            logger=logger,
            notes=notes,
            trace_context=trace_context or job.trace_context,
        )

    @property
    def traceparent(self) -> str:
        """The W3C header by which others go on with the job's trace; empty where it has none.

        It is of the attempt's own span where the worker traces, else as the client sent it.
        """
        return parts_of(self.trace_context).parent

    @property
    def tracestate(self) -> str:
        """The header that goes with `traceparent`; mostly empty."""
        return parts_of(self.trace_context).state

    def progress(self, fraction: float, note: str = "") -> Said:
        """Tell how far the attempt is, from 0 to 1, and in what (at most 256 bytes are kept).

        In an async handler `await` it, in a thread or process just call it; it never waits for the
        network. However often it is called, clients see at most two updates a second, and the
        last one. Raises InvalidValue, a ValueError, for what is no number from 0 to 1.
        """
        self.notes.progress(
            Token(self.job_id, self.lease), fraction_of(fraction), bounded(note, MAX_NOTE_BYTES)
        )
        return _SAID

    def cancel_requested(self) -> bool:
        """Whether the attempt should end: a cancel was asked for, or its time is up.

        A handler in a thread cannot be stopped from outside and polls this. An async one is
        cancelled by trio, one in a process is killed.
        """
        return self.is_cancelled()

    def __repr__(self) -> str:
        return f"JobContext({self.type} {self.job_id}, attempt {self.attempt})"

    @property
    def log(self) -> JobLog:
        """`log("text", level="info")` adds a line to the job's log, of which 1,000 a run are kept.

        `log.info("event", key=value)` and the like write to the worker's log by structlog, bound
        to job_id, type and attempt.
        """
        return JobLog(self.notes, Token(self.job_id, self.lease), self._bound_logger)

    def _bound_logger(self) -> Any:
        import structlog  # only here: a child process need not pay for it

        logger = structlog.get_logger() if self.logger is None else self.logger
        return logger.bind(job_id=self.job_id, type=self.type, attempt=self.attempt)
