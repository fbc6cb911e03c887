"""When a job may begin that is not to begin at once."""

from __future__ import annotations

from hermesd.core.errors import InvalidValue


def due_at(
    delay: float | None, run_at: float | None, now: float, max_delay_seconds: float
) -> float | None:
    """The UTC second that a submit asks for; None: at once, and so is what has passed already.

    `delay` is in seconds from `now`, `run_at` in UTC seconds. Raises InvalidValue for both
    together, for a negative delay, and for what is further away than `max_delay_seconds`.
    """
    if delay is None and run_at is None:
        return None
    if run_at is None:
        wait = delay or 0.0
        if not 0 <= wait <= max_delay_seconds:
            raise InvalidValue(
                f"delay must be from 0 to {max_delay_seconds:.15g} seconds, got {wait:.15g}"
            )
    elif delay is not None:
        raise InvalidValue("delay and run_at cannot both be given")
    else:
        wait = run_at - now
        if wait > max_delay_seconds:
            raise InvalidValue(
                f"run_at must be at most {max_delay_seconds:.15g} seconds away, got {wait:.0f}"
            )
    return now + wait if wait > 0 else None
