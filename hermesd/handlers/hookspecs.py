"""The hooks of hermesd (pluggy, project "hermesd"). They are called synchronously.

A hook registers or observes; the work itself is in the handlers that it offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import pluggy

if TYPE_CHECKING:
    from hermesd.core.job import Job
    from hermesd.core.outcome import Outcome
    from hermesd.handlers.contract import Handler

PROJECT: Final = "hermesd"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hermesd_handlers() -> Sequence[Handler]:  # type: ignore[empty-body]  # a spec has no body
    """The handlers that this plugin offers; called once, at start."""


@hookspec
def hermesd_settings() -> type[msgspec.Struct]:  # type: ignore[empty-body]  # as above
    """What the table [plugins.settings.NAME] may hold; handlers find the table in ctx.settings."""


@hookspec
def hermesd_job_started(job: Job) -> None:
    """A worker has begun an attempt of `job`; what this raises is logged and hurts nobody."""


@hookspec
def hermesd_job_finished(job: Job, outcome: Outcome) -> None:
    """The attempt has ended with `outcome`; what this raises is logged and hurts nobody."""
