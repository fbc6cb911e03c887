"""What the installed plugins came to: the handlers by type, and what is wrong with the rest."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
import pluggy
import structlog

from hermesd.core.jobtype import CATCH_ALL, JobType
from hermesd.handlers.contract import Handler

if TYPE_CHECKING:
    from hermesd.core.job import Job
    from hermesd.core.outcome import Outcome


Settings = Mapping[str, Any]


class PluginStatus(StrEnum):
    """What became of a plugin."""

    LOADED = "loaded"
    QUARANTINED = "quarantined"
    DISABLED = "disabled"  # by the configuration; it was not imported


class PluginInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin: whence it came, and the types that it offers (or claims, when quarantined)."""

    name: str
    distribution: str = ""
    version: str = ""
    status: PluginStatus = PluginStatus.LOADED
    reason: str = ""
    types: tuple[str, ...] = ()


class Observers:
    """Calls the job hooks of the plugins registered by now.

    A hook that raises is logged and hurts neither the job nor the others.
    """

    def __init__(self, plugins: pluggy.PluginManager, logger: Any = None) -> None:
        self._started = plugins.hook.hermesd_job_started.get_hookimpls()
        self._finished = plugins.hook.hermesd_job_finished.get_hookimpls()
        self._logger = logger

    def job_started(self, job: Job) -> None:
        """Tells all observers that an attempt has begun."""
        if self._started:
            self._tell("hermesd_job_started", self._started, job=job)

    def job_finished(self, job: Job, outcome: Outcome) -> None:
        """Tells all observers how the attempt ended."""
        if self._finished:
            self._tell("hermesd_job_finished", self._finished, job=job, outcome=outcome)

    def _tell(self, hook: str, impls: Sequence[pluggy.HookImpl], **arguments: Any) -> None:
        for impl in impls:
            try:
                impl.function(*(arguments[name] for name in impl.argnames))
            except Exception as error:
                logger = structlog.get_logger() if self._logger is None else self._logger
                logger.warning(
                    "observer.failed",
                    plugin=impl.plugin_name,
                    hook=hook,
                    job_id=arguments["job"].id,
                    # Where it is, and not what it says: a payload may be in that.
                    error=type(error).__name__,
                    where=_where(error),
                )


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The handlers by type name ("*": the catch-all), all plugins, and every problem found.

    `settings` are the plugins' tables of the configuration, by the type names of their handlers.
    """

    handlers: Mapping[str, Handler]
    settings: Mapping[str, Settings] = field(repr=False)
    plugins: Sequence[PluginInfo]
    problems: Sequence[str]
    observers: Observers

    def get(self, type_name: str) -> Handler | None:
        """The handler that runs jobs of this type: its own, else the catch-all, else None."""
        return self.handlers.get(type_name) or self.handlers.get(CATCH_ALL)

    def settings_for(self, handler: Handler) -> Settings:
        """What jobs of this handler get as ctx.settings."""
        return self.settings.get(handler.type.name, {})

    def types(self) -> list[JobType]:
        """The types that can be run here, by name."""
        return [self.handlers[name].type for name in sorted(self.handlers)]


def _where(error: Exception) -> str:
    """The file and line that raised it."""
    last = traceback.extract_tb(error.__traceback__, limit=-1)[-1]
    return f"{last.filename}:{last.lineno}"
