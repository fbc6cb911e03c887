"""What must hold for the schedules of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hermesd.config.check import Problem
from hermesd.config.sections import Config
from hermesd.core.errors import InvalidValue
from hermesd.core.job import LOWEST_PRIORITY, priority_of
from hermesd.core.jobtype import check_type_name
from hermesd.core.schedule import MAX_SCHEDULES, check_schedule_name
from hermesd.cron import timetable


def schedule_problems(config: Config) -> Iterator[Problem]:
    """All but what the job's type says, which may not be known yet."""
    if len(config.schedules) > MAX_SCHEDULES:
        yield Problem(("schedules",), f"has more than {MAX_SCHEDULES} schedules")
    for name, schedule in config.schedules.items():
        key = ("schedules", name)
        checks: dict[str, Callable[[], object]] = {
            "": partial(check_schedule_name, name),
            "type": partial(check_type_name, schedule.type),
            "cron": partial(timetable, schedule.cron, "UTC"),
            "timezone": partial(timetable, "@daily", schedule.timezone),
            "payload": partial(getattr, schedule, "definition"),
            "priority": partial(priority_of, schedule.priority or LOWEST_PRIORITY),
        }
        for field, check in checks.items():
            try:
                check()
            except InvalidValue as exc:
                reason = exc.detail.removeprefix(f"{field}: ")
                yield Problem((*key, field) if field else key, reason)
        if schedule.queue is not None and schedule.queue not in config.queues:
            reason = f"no queue {schedule.queue[:80]!r} is declared; declare it as [queues.NAME]"
            yield Problem((*key, "queue"), reason)
