"""Whether a call that failed is made again, and after how long: a pure decision and its counter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from hermesd.client.faults import ApiError, ClientError, ConnectionFailed
from hermesd.client.faults import UnavailableError as Absent
from hermesd.client.faults import UnknownOutcomeError as Unknown
from hermesd.core.backoff import Backoff


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most `retries` repeats, none begun later than `total_seconds` after the first attempt."""

    retries: int = 5
    total_seconds: float = 60.0
    backoff: Backoff = Backoff(seconds=0.2, factor=2.0, max_seconds=10.0, jitter=0.5)


def worth_repeating(fault: ClientError, *, repeatable: bool) -> bool:
    """Whether another try is safe and may go better.

    `repeatable`: carrying the call out twice does no harm (a read, or a submit with its
    idempotency key). Without that, only what was surely not done is tried again.
    """
    if isinstance(fault, ConnectionFailed):
        return repeatable or not fault.sent
    if isinstance(fault, Unknown):
        return repeatable
    return isinstance(fault, Absent)


def pause_seconds(
    policy: RetryPolicy, fault: ClientError, failures: int, elapsed_seconds: float, chance: float
) -> float | None:
    """The wait before the next try after `failures` (>= 1) of them; None: no more tries.

    It is the backoff's delay, and not less than the answer's Retry-After (RFC 9110 section 10.2.3),
    which then gets the jitter on top, so that those who were refused together come back apart.
    """
    if failures > policy.retries:
        return None
    pause = policy.backoff.delay_seconds(failures, chance)
    asked = fault.retry_after_seconds if isinstance(fault, ApiError) else None
    if asked is not None and asked > 0:
        pause = max(pause, asked + min(asked, 1.0) * policy.backoff.jitter * chance)
    return pause if elapsed_seconds + pause <= policy.total_seconds else None


@dataclass
class Effort:
    """The tries of one call; `pause_after` counts a failed one."""

    policy: RetryPolicy
    repeatable: bool
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    failures: int = 0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.monotonic()

    def pause_after(self, fault: ClientError) -> float:
        """Seconds to wait before the next try; raises `fault` where there is to be none."""
        self.failures += 1
        if not worth_repeating(fault, repeatable=self.repeatable):
            raise fault
        elapsed = self.monotonic() - self.began
        pause = pause_seconds(self.policy, fault, self.failures, elapsed, self.chance())
        if pause is None:
            raise fault
        return pause
