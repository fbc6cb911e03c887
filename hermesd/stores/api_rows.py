"""The apis and the jobs that they have given out, as rows: plain SQL that both dialects take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from hermesd.core.apis import ApiLife
from hermesd.stores.micros import micros, seconds

# Runs a statement with its values, `?` each, and answers its rows.
Execute = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]

_RENEW: Final = (
    "UPDATE apis SET url = ?, last_seen_us = CASE WHEN last_seen_us >= ? THEN last_seen_us + 1 "
    "ELSE ? END WHERE name = ? AND boot = ? RETURNING name"
)
_ENTER: Final = (
    "INSERT INTO apis (name, boot, url, last_seen_us) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET boot = excluded.boot, url = excluded.url, "
    "last_seen_us = excluded.last_seen_us"
)
_DISMISS: Final = "DELETE FROM apis WHERE name = ? AND boot = ? AND last_seen_us = ? RETURNING name"
_RETIRE: Final = "DELETE FROM apis WHERE name = ? AND boot = ?"
# The condition is there twice since another api's statement may have come first.
_NOBODYS: Final = "state = 'running' AND assigned_by NOT IN (SELECT name FROM apis)"
_ADOPT: Final = (
    "UPDATE jobs SET assigned_by = ? WHERE id IN "
    f"(SELECT id FROM jobs WHERE {_NOBODYS} AND incarnation IN ({{}}) LIMIT ?) "
    f"AND {_NOBODYS} RETURNING id"
)
_DISOWN: Final = (
    "UPDATE jobs SET assigned_by = '' "
    "WHERE state = 'running' AND incarnation = ? AND assigned_by = ?"
)
# As many in every statement, so that there are few statements to be planned.
INCARNATIONS_A_STATEMENT: Final = 32
_LIVES: Final = "SELECT name, boot, url, last_seen_us FROM apis ORDER BY name"
_HELD: Final = "SELECT id FROM jobs WHERE state = 'running' AND incarnation = ? ORDER BY id"


class Renew(msgspec.Struct, frozen=True):
    """Note a life as seen now; True if it was known, so that nobody has taken its jobs."""

    life: ApiLife


class Dismiss(msgspec.Struct, frozen=True):
    """Strike out a life that has not moved since it was read so; True if that was done now."""

    life: ApiLife


class Retire(msgspec.Struct, frozen=True):
    """Strike out a life that has ended by itself."""

    life: ApiLife


class Adopt(msgspec.Struct, frozen=True):
    """Take over the incarnations' running jobs whose api is not there; the ids of up to `limit`."""

    by: str
    incarnations: tuple[str, ...]
    limit: int


class Disown(msgspec.Struct, frozen=True):
    """Leave an incarnation's running jobs to whichever api sees it."""

    by: str
    incarnation: str


Order = Renew | Dismiss | Retire | Adopt | Disown


def apply(execute: Execute, orders: Sequence[Order], at: float) -> list[Any]:
    """One answer for each order."""
    return [_one(execute, order, micros(at)) for order in orders]


def _one(execute: Execute, order: Order, at_us: int) -> Any:
    match order:
        case Renew(life):
            if execute(_RENEW, (life.url, at_us, at_us, life.name, life.boot)):
                return True
            execute(_ENTER, (life.name, life.boot, life.url, at_us))
            return False
        case Dismiss(life):
            return bool(execute(_DISMISS, (life.name, life.boot, micros(life.last_seen))))
        case Retire(life):
            execute(_RETIRE, (life.name, life.boot))
            return None
        case Adopt(by, incarnations, limit):
            return sorted(_adopt(execute, by, incarnations, limit))
        case Disown(by, incarnation):
            execute(_DISOWN, (incarnation, by))
            return None


def _adopt(execute: Execute, by: str, incarnations: Sequence[str], limit: int) -> list[str]:
    found: list[str] = []
    size = INCARNATIONS_A_STATEMENT
    statement = _ADOPT.format(", ".join("?" * size))
    for begin in range(0, len(incarnations), size):
        some = tuple(incarnations[begin : begin + size])
        padded = some + some[:1] * (size - len(some))
        found += [job_id for (job_id,) in execute(statement, (by, *padded, limit - len(found)))]
    return found


def lives(execute: Execute) -> list[ApiLife]:
    """All that are known."""
    return [
        ApiLife(name=name, boot=boot, url=url, last_seen=seconds(seen_us))
        for name, boot, url, seen_us in execute(_LIVES, ())
    ]


def held_by(execute: Execute, incarnation: str) -> list[str]:
    """The ids of the running jobs of an incarnation."""
    return [job_id for (job_id,) in execute(_HELD, (incarnation,))]
