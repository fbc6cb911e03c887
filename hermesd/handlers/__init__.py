"""What a plugin imports: `from hermesd.handlers import job, hookimpl, JobContext, Retry`.

This package is the contract between plugins and the daemon. It imports neither trio nor any other
part of the daemon than `core`, so that an isolated child process starts fast.
"""

from hermesd.handlers.context import JobContext
from hermesd.handlers.contract import Handler, job
from hermesd.handlers.endings import Permanent, Retry, Snooze, UnstorableResult
from hermesd.handlers.hookspecs import hookimpl

__all__ = [
    "Handler",
    "JobContext",
    "Permanent",
    "Retry",
    "Snooze",
    "UnstorableResult",
    "hookimpl",
    "job",
]
