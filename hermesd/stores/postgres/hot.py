"""What needs no look (see `stores.hot`) as statements, with their values ready to be sent.

In binary arrays, for what JSON takes (measured, processor time a row of a group of 250, here and
there: an insert 1.5 against 3.2 µs and 4.5 against 11, an assignment 0.4 against 1.3 µs and 9.5
against 11). One job's have no arrays (there, with the 130 µs of any commit: an insert 150 against
180 µs, or 195 with JSON, a success 150 against 195).

All are encoded before the first is sent, so that one which cannot be leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from hermesd.stores.hot import ASSIGNED, SUCCEEDED, HotRows
from hermesd.stores.postgres import binary, statements
from hermesd.stores.postgres.records import records
from hermesd.stores.rows import COLUMNS
from hermesd.stores.tables import Values

ROWS_ALIKE: Final = 3  # so many on average, and it pays to say once what they share

_shared: Final = itemgetter(*map(COLUMNS.index, statements.SHARED))
_own: Final = itemgetter(*map(COLUMNS.index, statements.OWN))


class Ready(NamedTuple):
    """A statement with its values, which are all binary or all texts."""

    statement: str
    values: Sequence[bytes | None]
    binary: bool = False


def lone_success(rows: HotRows) -> Ready | None:
    """The change of a group that is one success: it has hit where it has changed a row.

    For a transaction of its own, since it is no error where it has not.
    """
    if len(rows.succeeded) != 1 or rows.newborn or rows.assigned:
        return None
    return Ready(statements.SUCCEED_ONE, _scalars(SUCCEEDED, rows.succeeded[0]), binary=True)


def ready(rows: HotRows) -> list[Ready]:
    """Those of a group; raises ItemFault or the encoder's errors."""
    found = inserts(rows.born) if rows.born else []
    for changed, statement, names in (
        (rows.succeeded, statements.SUCCEED_ALL, SUCCEEDED),
        (rows.assigned, statements.ASSIGN_ALL, ASSIGNED),
    ):
        if changed:
            in_order = sorted(changed, key=itemgetter(0))
            values = (*_arrays(names, zip(*in_order, strict=True)), binary.int8(len(changed)))
            found.append(Ready(statement, values, binary=True))
    return found


def inserts(rows: Sequence[Values]) -> list[Ready]:
    """New jobs, with the values of COLUMNS: the same for many, but for their own."""
    if len(rows) == 1:
        values = (*_scalars(statements.OWN, _own(rows[0])), *_said_once(_shared(rows[0])))
        return [Ready(statements.INSERT_ONE, values, binary=True)]
    families: dict[Values, list[Values]] = {}
    for row in rows:
        families.setdefault(_shared(row), []).append(row)
    if len(families) > 1 and len(families) * ROWS_ALIKE > len(rows):
        return [Ready(statements.INSERT_ALL, (records(COLUMNS, rows),))]
    return [
        Ready(statements.INSERT_ALIKE, (*_own_of(alike), *_said_once(shared)), binary=True)
        for shared, alike in families.items()
    ]


def _own_of(rows: Sequence[Values]) -> list[bytes]:
    return _arrays(statements.OWN, _own(list(zip(*rows, strict=True))))


def _arrays(names: Sequence[str], columns: Iterable[Sequence[Any]]) -> list[bytes]:
    return [encoded(column) for encoded, column in zip(_encoders(names), columns, strict=True)]


@cache
def _encoders(names: Sequence[str]) -> Sequence[Callable[[Sequence[Any]], bytes]]:
    return [binary.texts if statements.is_text(name) else binary.bigints for name in names]


@lru_cache(maxsize=64)
def _said_once(shared: Values) -> tuple[bytes | None, ...]:
    return _scalars(statements.SHARED, shared)


def _scalars(names: Sequence[str], values: Values) -> tuple[bytes | None, ...]:
    return tuple(map(_scalar, names, values))


def _scalar(name: str, value: Any) -> bytes | None:
    if value is None:
        return None
    if statements.is_text(name):
        return str(value).encode()
    return (binary.int4 if statements.is_int(name) else binary.int8)(value)
