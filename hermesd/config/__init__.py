"""The configuration: frozen structs, and `load()`, which reads TOML files and the environment.

The way of a value: layers (files) and overrides (environment) -> secretfiles -> check (shape)
-> sections (the structs) -> rules (between keys).
"""

from hermesd.config.choices import LogFormat, LogLevel, QueueKind
from hermesd.config.effective import effective
from hermesd.config.instance import Instance, parse_instance
from hermesd.config.load import DEFAULT_PATH, load, validate
from hermesd.config.schedules import ScheduleSection
from hermesd.config.sections import (
    ApiSection,
    Config,
    ControlSection,
    DrainSection,
    EventsSection,
    JobsSection,
    LivenessSection,
    LogSection,
    MetricsSection,
    NamedQueue,
    PluginsSection,
    QueueSection,
    StoreSection,
    WorkerSection,
)

__all__ = [
    "DEFAULT_PATH",
    "ApiSection",
    "Config",
    "ControlSection",
    "DrainSection",
    "EventsSection",
    "Instance",
    "JobsSection",
    "LivenessSection",
    "LogFormat",
    "LogLevel",
    "LogSection",
    "MetricsSection",
    "NamedQueue",
    "PluginsSection",
    "QueueKind",
    "QueueSection",
    "ScheduleSection",
    "StoreSection",
    "WorkerSection",
    "effective",
    "load",
    "parse_instance",
    "validate",
]
