"""A schedule as every layer knows it: what it fires and when, and what became of its fires.

A fire is known by its schedule and its time, so that the same one can never be twice. A schedule's
own times are whole UTC seconds; a fire that somebody asked for by hand has a time between them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from enum import StrEnum
from typing import Final

import msgspec

from hermesd.core.errors import ChangedMeanwhile, Conflict, InvalidValue, NotFound
from hermesd.core.job import Job

MAX_SCHEDULES: Final = 1000
MAX_JITTER_SECONDS: Final = 86_400.0
MAX_GRACE_SECONDS: Final = 30 * 86_400.0
MAX_CATCH_UP: Final = 100
MAX_CRON_LENGTH: Final = 200
MAX_DESCRIPTION_LENGTH: Final = 1000
# What every job of a schedule carries; a definition cannot set them.
SCHEDULE_LABEL: Final = "schedule"
FIRE_TIME_LABEL: Final = "fire_time"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")
_MICROS: Final = 1_000_000


class Misfire(StrEnum):
    """What becomes of fires whose time passed by more than the grace while nobody could fire."""

    SKIP = "skip"
    RUN_ONCE = "run-once"  # one stands for all of them
    CATCH_UP = "catch-up"  # the newest `catch_up_limit` of them, oldest first


class Overlap(StrEnum):
    """Whether a fire starts while the job of the last one has not ended."""

    ALLOW = "allow"
    SKIP = "skip"


class Source(StrEnum):
    """Who made a schedule, and alone may change it."""

    CONFIG = "config"
    API = "api"


class FireKind(StrEnum):
    """What became of a fire; only the first two have a job."""

    FIRED = "fired"
    TRIGGERED = "triggered"  # by an operator, not by the clock
    OVERLAPPED = "overlapped"
    MISSED = "missed"  # the last of those that the misfire policy let go
    REFUSED = "refused"  # its job could not be submitted any more


class ScheduleTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a definition but the payload; None leaves a value to the type and configuration.

    `cron` is five fields, one of @hourly, @daily, @weekly, @monthly and @yearly, or @every with a
    span like 30s or 1h30m; see `hermesd.cron`. A job starts up to `jitter_seconds` after its fire
    time, the same at each api.
    """

    cron: str
    type: str
    timezone: str = "UTC"
    queue: str | None = None
    priority: int | str | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    labels: dict[str, str] = {}
    jitter_seconds: float = 0.0
    misfire: Misfire = Misfire.RUN_ONCE
    misfire_grace_seconds: float = 60.0
    catch_up_limit: int = 10
    overlap: Overlap = Overlap.ALLOW
    description: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_seconds <= MAX_JITTER_SECONDS:
            raise InvalidValue(f"jitter_seconds must be from 0 to {MAX_JITTER_SECONDS:.0f}")
        if not 1 <= self.misfire_grace_seconds <= MAX_GRACE_SECONDS:
            raise InvalidValue(f"misfire_grace_seconds must be from 1 to {MAX_GRACE_SECONDS:.0f}")
        if not 1 <= self.catch_up_limit <= MAX_CATCH_UP:
            raise InvalidValue(f"catch_up_limit must be from 1 to {MAX_CATCH_UP}")
        if len(self.cron) > MAX_CRON_LENGTH:
            raise InvalidValue(f"cron has at most {MAX_CRON_LENGTH} characters")
        if len(self.description) > MAX_DESCRIPTION_LENGTH:
            raise InvalidValue(f"description has at most {MAX_DESCRIPTION_LENGTH} characters")
        for label in (SCHEDULE_LABEL, FIRE_TIME_LABEL):
            if label in self.labels:
                raise InvalidValue(f"label {label!r} is set by the schedule itself")


def _empty_payload() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class ScheduleDefinition(ScheduleTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is fired, and when; `payload` is a JSON text."""

    payload: msgspec.Raw = msgspec.field(default_factory=_empty_payload)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is stored; times are UTC seconds.

    `revision` rises with every change but the advance of `next_at`, which is None while it is
    paused. `oldest_fire` is the time of the oldest fire that is known still: all since are.
    """

    name: str
    definition: ScheduleDefinition
    source: Source
    paused: bool = False
    revision: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0
    next_at: float | None = None
    oldest_fire: float | None = None

    @property
    def etag(self) -> str:
        """Of its definition, quoted (RFC 9110 8.8.3): a pause or a fire leaves it as it is.

        Defaults are left out, so that apis of which only the newer one has some key agree.
        """
        default = msgspec.structs.asdict(type(self.definition)(cron="", type=""))
        asked = msgspec.structs.asdict(self.definition)
        given = {key: value for key, value in asked.items() if value != default[key]}
        return f'"{hashlib.sha256(msgspec.json.encode(given)).hexdigest()[:32]}"'


class FireRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A fire that happened, or was decided against."""

    time: float
    kind: FireKind
    job_id: str | None
    created_at: float


class PlannedFire(msgspec.Struct, frozen=True, kw_only=True):
    """A fire that is to be recorded, with its job; `alone`: not while the last one's job lives."""

    time: float
    kind: FireKind
    job: Job | None = None
    alone: bool = False


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """Fires of one schedule, recorded with their jobs and its next time in one transaction.

    Nothing is done unless the schedule is at `revision` and its next time is `expected`. Without a
    `revision` (a fire by hand) it only must exist, and its next time stays.
    """

    schedule: str
    fires: tuple[PlannedFire, ...] = ()
    revision: int | None = None
    expected: float | None = None
    next_at: float | None = None


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a planned fire; `kind` None: it had been recorded before, nothing was done."""

    time: float
    kind: FireKind | None
    job: Job | None = None


class FiringAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the schedule was as expected, and then what became of each fire, in order."""

    done: bool
    fires: tuple[Fired, ...] = ()


def check_schedule_name(name: str) -> str:
    """`name` if it is one; raises InvalidValue otherwise."""
    if not _NAME.match(name):
        raise InvalidValue(
            f"{name[:80]!r} is no schedule's name: 1 to 100 letters, digits, '_', '-' and '.'"
        )
    return name


def check_put(
    known: Schedule | None,
    name: str,
    source: Source,
    *,
    replace: bool,
    expected: Container[str] | None = None,
) -> None:
    """Raise Conflict where `source` may not make the schedule as asked; `known` is it as it is.

    ChangedMeanwhile where its etag is not `expected` (`*`: any is; None: so is there being none).
    """
    if known is None:
        if expected is not None:
            raise ChangedMeanwhile(f"there is no schedule {name!r} any more")
        return
    if not replace:
        raise Conflict(f"there is a schedule {name!r} already; replace it with PUT")
    if known.source is Source.CONFIG and source is Source.API:
        raise _of_config(name, "changed")
    _check_expected(known, expected)


def check_delete(
    known: Schedule | None, name: str, source: Source, expected: Container[str] | None = None
) -> Schedule:
    """What is to be deleted; raises NotFound, or as `check_put` does."""
    if known is None:
        raise no_schedule(name)
    if known.source is not source:
        if source is Source.API:
            raise _of_config(name, "deleted")
        raise Conflict(f"schedule {name!r} is not of the configuration")
    _check_expected(known, expected)
    return known


def _check_expected(known: Schedule, expected: Container[str] | None) -> None:
    if expected is not None and known.etag not in expected and "*" not in expected:
        raise ChangedMeanwhile(
            f"schedule {known.name!r} was changed meanwhile: its etag is {known.etag} now",
            etag=known.etag,
        )


def no_schedule(name: str) -> NotFound:
    """The error for a name that is not there."""
    return NotFound(f"there is no schedule {name[:100]!r}")


def _of_config(name: str, done: str) -> Conflict:
    return Conflict(
        f"schedule {name!r} is of the configuration ([schedules.{name}]), and can only be {done} "
        "there; it can be paused, resumed and triggered here"
    )


def jitter_of(name: str, time: float, most_seconds: float) -> float:
    """How many seconds after its time a fire starts: from 0 to the most, the same at each api."""
    if not most_seconds:
        return 0.0
    digest = hashlib.sha256(f"{name} {round(time * _MICROS)}".encode()).digest()
    return most_seconds * int.from_bytes(digest[:7], "big") / 2**56


def by_hand(now: float) -> float:
    """The time of a fire that is asked for at `now`: never one that a schedule has by itself."""
    micros = round(now * _MICROS)
    return (micros if micros % _MICROS else micros + 1) / _MICROS
