"""What is to be measured: checked in full before the first request."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from hermesd.core.errors import InvalidValue

MAX_CONNECTIONS: Final = 10_000
MAX_BURST: Final = 50_000
MAX_BATCH: Final = 10_000
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_SHARES: Final = 100
MAX_SECONDS: Final = 7 * 86_400.0
MAX_JOBS: Final = 1_000_000_000


class Mode(StrEnum):
    """How submits reach the api.

    `single`: one job a request, each connection sends its next when the last was answered.
    `batch`: the same with many jobs a request. `burst`: all at once, each on its own connection.
    """

    SINGLE = "single"
    BATCH = "batch"
    BURST = "burst"


class Share(msgspec.Struct, frozen=True):
    """One value of a mix, taken in `weight` of all cases."""

    value: str | int
    weight: float = 1.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement; raises InvalidValue where it makes no sense.

    It ends after `jobs` or `duration_seconds`, whichever comes first; at least one is given.
    `jobs_per_second` throttles (None: as fast as answers come). `payload` is a JSON text.
    `keys`: every job gets an idempotency key, so that an unanswered submit can be repeated.
    `wait_seconds`: how long to wait until every accepted job has ended (None: not at all).
    """

    url: str
    types: tuple[Share, ...]
    mode: Mode = Mode.SINGLE
    priorities: tuple[Share, ...] = ()
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    connections: int = 32
    batch: int = 500
    jobs: int | None = None
    duration_seconds: float | None = None
    jobs_per_second: float | None = None
    keys: bool = False
    retries: int = 8
    timeout_seconds: float = 30.0
    wait_seconds: float | None = None

    def __post_init__(self) -> None:
        for shares, what in ((self.types, "types"), (self.priorities, "priorities")):
            _check_shares(shares, what)
        if not self.types:
            raise InvalidValue("name at least one job type")
        if self.jobs is None and self.duration_seconds is None:
            raise InvalidValue("say after how many jobs or seconds it ends")
        _within("connections", self.connections, 1, MAX_CONNECTIONS)
        _within("items per batch", self.batch, 1, MAX_BATCH)
        _within("retries", self.retries, 0, 1000)
        _within("timeout seconds", self.timeout_seconds, 0.001, 3600)
        if self.jobs is not None:
            _within("jobs", self.jobs, 1, MAX_JOBS)
        for name in ("duration_seconds", "wait_seconds"):
            if (value := getattr(self, name)) is not None:
                _within(name.replace("_", " "), value, 0, MAX_SECONDS)
        if self.jobs_per_second is not None:
            _within("jobs per second", self.jobs_per_second, 0.001, 10_000_000)
        if len(self.payload) * self.jobs_per_request > MAX_BODY_BYTES:
            raise InvalidValue(f"one request would have over {MAX_BODY_BYTES} bytes")
        if self.mode is Mode.BURST:
            self._check_burst()

    @property
    def jobs_per_request(self) -> int:
        """How many jobs one submit holds."""
        return self.batch if self.mode is Mode.BATCH else 1

    @property
    def concurrency(self) -> int:
        """How many submits are under way at most."""
        if self.mode is Mode.BURST:
            return self.jobs or 0
        if self.jobs is None:
            return self.connections
        return min(self.connections, -(-self.jobs // self.jobs_per_request))

    def _check_burst(self) -> None:
        if self.jobs is None:
            raise InvalidValue("a burst needs a number of jobs")
        _within("jobs in a burst", self.jobs, 1, MAX_BURST)
        if self.jobs_per_second is not None:
            raise InvalidValue("a burst comes all at once: it has no rate")


def _check_shares(shares: tuple[Share, ...], what: str) -> None:
    if len(shares) > MAX_SHARES:
        raise InvalidValue(f"at most {MAX_SHARES} {what}")
    for share in shares:
        if not 0 < share.weight <= 1_000_000:
            raise InvalidValue(f"the weight of {share.value!r} must be above 0, at most a million")


def _within(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # so that NaN is refused too
        raise InvalidValue(f"{what} must be from {least:g} to {most:,g}, got {value}")
