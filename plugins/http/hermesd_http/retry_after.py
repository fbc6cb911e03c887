"""The Retry-After header (RFC 9110 section 10.2.3): seconds, or a date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(value: str | None, now: datetime, max_seconds: float) -> float | None:
    """Seconds from `now` (aware) that `value` asks to wait, from 0 to `max_seconds`.

    None where there is no value or it cannot be read: then the job's own backoff holds.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), max_seconds)  # twelve digits are past every limit
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:  # "-0000": UTC of unknown origin (RFC 5322 section 3.3)
        when = when.replace(tzinfo=UTC)
    return min(max((when - now).total_seconds(), 0.0), max_seconds)
