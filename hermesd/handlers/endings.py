"""The exceptions by which a handler says how its attempt ended; any other one is a failure.

A failure is retried after the type's backoff as long as attempts are left.
"""

from __future__ import annotations

import math

from hermesd.core.backoff import MAX_DELAY_SECONDS
from hermesd.core.errors import InvalidValue


class Ending(Exception):
    """The root of what a handler raises on purpose; `reason` is kept with the job."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Ending):
    """It failed and may be tried again, `after` seconds from now instead of after the backoff."""

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.after = None if after is None else _delay_seconds(after)


class Permanent(Ending):
    """It failed and would fail again: the job ends as failed, whatever attempts are left."""


class UnstorableResult(Permanent):
    """The result is no JSON, or is over its limit; running the job again would not help."""


class Snooze(Ending):
    """It is too early: again in `seconds`, and the attempt does not count."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason)
        self.seconds = _delay_seconds(seconds)


def _delay_seconds(value: float) -> float:
    """`value` within 0 and a year, since `then - now` may well be negative; NaN is refused."""
    if math.isnan(value):
        raise InvalidValue("a delay must be a number of seconds, got NaN")
    return min(max(float(value), 0.0), MAX_DELAY_SECONDS)
