"""What becomes of a running job if its worker is told to leave now."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Fate(StrEnum):
    """A guess."""

    FINISHES = "finishes"
    HANDED_ON = "handed-on"  # it is given back at the drain's end, and runs again elsewhere
    UNKNOWN = "unknown"


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """`remaining_seconds` is None where nothing tells; `why` is for people."""

    fate: Fate
    why: str
    remaining_seconds: float | None = None


class SoFar(msgspec.Struct, frozen=True, kw_only=True):
    """A running attempt; `progress` is what it told last, at `progress_seconds` from its start.

    `typical_seconds`: most of its type end within that time.
    """

    elapsed_seconds: float
    timeout: float
    progress: float | None = None
    progress_seconds: float = 0.0
    typical_seconds: float | None = None


def forecast(job: SoFar, drain_seconds: float) -> Guess:
    """Whether it ends in time: by its own word, else by what is usual, and by its timeout at last.

    A timeout within the drain's time ends it in any case, be it as a failure.
    """
    remaining, why = _remaining(job)
    left = max(job.timeout - job.elapsed_seconds, 0.0)
    if left <= drain_seconds and (remaining is None or remaining > left):
        why, remaining = f"its timeout ends it in {left:.3g} s", left
    if remaining is None:
        return Guess(fate=Fate.UNKNOWN, why=why)
    fate = Fate.FINISHES if remaining <= drain_seconds else Fate.HANDED_ON
    return Guess(fate=fate, why=why, remaining_seconds=remaining)


def _remaining(job: SoFar) -> tuple[float | None, str]:
    if job.progress:
        whole = job.progress_seconds / job.progress
        return max(whole - job.elapsed_seconds, 0.0), f"it says that {job.progress:.0%} are done"
    if job.typical_seconds is None:
        return None, "none of its type has ended lately"
    if job.elapsed_seconds >= job.typical_seconds:
        return None, "it takes longer than most of its type"
    left = job.typical_seconds - job.elapsed_seconds
    return left, f"most of its type end within {job.typical_seconds:.3g} s"
