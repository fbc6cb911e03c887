"""The one place that reads cron expressions and calendars.

Five fields (minute, hour, day of the month, month, day of the week) as in Debian's cron: lists,
ranges, steps, names like MON and JAN, and L and MON#2 for the last and second one of a month.
Where both day fields are restricted, either may fit. `@every SPAN` counts from 1970-01-01 UTC, so
that it fires at the same moments at each api, whatever the time zone.

Where clocks are set forward or back, as Debian's cron does it:

- a schedule whose minute or hour begins with `*` follows real time: it fires in the hour that
  comes twice both times, and not in the hour that is left out;
- any other fires once each day it should: at the first moment after a gap that its time falls
  into, and at the first of two moments that have its time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from hermesd.core.errors import InvalidValue
from hermesd.core.misfire import Timetable

FORMS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MAX_INTERVAL_SECONDS: Final = 366 * 86_400
_EVERY = re.compile(r"@every\s+((?:[0-9]{1,9}[smhd])+)\Z")
_STEP = re.compile(r"([0-9]+)([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ANY_MOMENT: Final = 1_767_225_600.0  # 2026: what does not fire in the 50 years after never does


class Interval:
    """Fires at every multiple of so many seconds since 1970."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def fires_after(self, moment: float) -> Iterator[float]:
        """See Timetable."""
        number = int(moment // self._seconds)
        while True:
            number += 1
            yield float(number * self._seconds)


class CronTable:
    """Fires when a clock on the wall of that zone shows what the five fields say."""

    def __init__(self, fields: str, zone: ZoneInfo) -> None:
        self._fields = fields
        self._zone = zone

    def fires_after(self, moment: float) -> Iterator[float]:
        """See Timetable; raises CronSimError for fields that are none."""
        # A zone that is UTC by another name is spared the search for gaps.
        zone = UTC if self._zone.key == "UTC" else self._zone
        last = moment
        try:
            for found in CronSim(self._fields, datetime.fromtimestamp(moment, zone)):
                time = found.timestamp()
                if time > last:  # in an hour that comes twice the first one is over
                    last = time
                    yield time
        except (OverflowError, ValueError):
            return  # past the calendar's end


@lru_cache(maxsize=2048)
def timetable(cron: str, timezone: str) -> Timetable:
    """The timetable of an expression in a time zone (IANA); raises InvalidValue with the reason."""
    zone = _zone(timezone)
    if found := _EVERY.match(cron):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _STEP.findall(found[1]))
        if not 1 <= seconds <= MAX_INTERVAL_SECONDS:
            raise InvalidValue(f"cron: {cron!r}: @every takes from 1s to 366d")
        return Interval(seconds)
    if cron.startswith("@") and cron not in FORMS:
        known = ", ".join(FORMS)
        raise InvalidValue(f"cron: {cron!r} is none of {known}, and not like @every 1h30m")
    fields = FORMS.get(cron, cron)
    if len(fields.split()) != 5:
        raise InvalidValue(
            f"cron: {cron!r} has {len(fields.split())} fields; five are needed: minute, hour, "
            "day of the month, month, day of the week"
        )
    table = CronTable(fields, zone)
    try:
        never = next(table.fires_after(_ANY_MOMENT), None) is None
    except (CronSimError, AssertionError, ValueError) as error:
        raise InvalidValue(f"cron: {cron!r}: {str(error) or 'cannot be read'}") from error
    if never:
        raise InvalidValue(f"cron: {cron!r} never fires")
    return table


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidValue(
            f"timezone: {name[:80]!r} is no time zone; write one like Europe/Berlin"
        ) from error
