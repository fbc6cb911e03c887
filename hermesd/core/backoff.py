"""How long a job waits before its next attempt."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from hermesd.core.errors import InvalidValue

MAX_DELAY_SECONDS = 365 * 24 * 3600.0


class BackoffKind(StrEnum):
    """The shapes a backoff can have."""

    FIXED = "fixed"
    LIST = "list"
    EXPONENTIAL = "exponential"


class Backoff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The delay before attempt n+1, from the number n of attempts that failed.

    `fixed` waits `seconds` each time; `list` takes `delays` in turn and stays at the last;
    `exponential` waits `seconds * factor ** (n - 1)`. None exceeds `max_seconds`. `jitter` is the
    share of the delay (0 to 1) that is left to chance, so that retries do not come back in step.
    """

    kind: BackoffKind = BackoffKind.EXPONENTIAL
    seconds: float = 1.0
    factor: float = 2.0
    max_seconds: float = 3600.0
    jitter: float = 0.2
    delays: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("seconds", "max_seconds"):
            value = getattr(self, name)
            if not 0 <= value <= MAX_DELAY_SECONDS:
                raise InvalidValue(f"{name} must be from 0 to {MAX_DELAY_SECONDS:.0f}, got {value}")
        if not self.factor >= 1:  # so that NaN is refused too
            raise InvalidValue(f"factor must be 1 or more, got {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise InvalidValue(f"jitter must be from 0 to 1, got {self.jitter}")
        if any(not 0 <= delay <= MAX_DELAY_SECONDS for delay in self.delays):
            raise InvalidValue(f"delays must be from 0 to {MAX_DELAY_SECONDS:.0f} seconds")
        if self.kind is BackoffKind.LIST and not self.delays:
            raise InvalidValue("a backoff of kind 'list' needs at least one entry in 'delays'")

    def delay_seconds(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` (>= 1) failed attempts; `chance` is from [0, 1)."""
        base = min(self._base_seconds(max(failures, 1)), self.max_seconds)
        return base * (1 - self.jitter) + base * self.jitter * chance

    def _base_seconds(self, failures: int) -> float:
        if self.kind is BackoffKind.LIST:
            return self.delays[min(failures, len(self.delays)) - 1]
        if self.kind is BackoffKind.FIXED or self.seconds == 0:
            return self.seconds
        try:
            return self.seconds * self.factor ** (failures - 1)
        except OverflowError:
            return self.max_seconds
