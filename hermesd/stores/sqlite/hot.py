"""What needs no look (see `stores.hot`) as one statement.

SQLite runs one statement for one call of Python's, without the interpreter's lock; outside of a
transaction it is one by itself, so that a thread commits a whole group, disk included, and meets
the event loop only once, at the end. What makes several statements one is a view that nobody
reads: inserting into it sets off triggers. They also do the comparing: where one change hits
nothing, none is made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from hermesd.stores.hot import ASSIGNED, SUCCEEDED, HotRows
from hermesd.stores.rows import as_json, row_of
from hermesd.stores.sqlite.alike import Family, born_alike, changed_alike
from hermesd.stores.sqlite.statements import (
    ASSIGN_ALIKE,
    ASSIGN_ALL,
    INSERT_ALIKE,
    INSERT_ALL,
    SHARED,
    SUCCEED_ALIKE,
    SUCCEED_ALL,
)

Statement = tuple[str, tuple[Any, ...]]  # with its parameters

_BORN: Final = (*SHARED, "enqueued", "started")
HOT: Final = "INSERT INTO hot"
_OWN: Final = ("kind", "jobs", "given")  # of every row of a view; the others are of families
_OTHERS: Final = tuple(dict.fromkeys((*_BORN, *SUCCEEDED[1:], *ASSIGNED[1:])))
_FEW: Final = f"({', '.join('?' * len(_OWN))})"
_ROW: Final = f"({', '.join('?' * len(_OWN))}{', NULL' * len(_OTHERS)})"
_FAMILY: Final = f"({', '.join('?' * len(_OWN + _OTHERS))})"
_LATE: Final = "a change hit no job"
_UNLESS_ALL: Final = f"SELECT RAISE(ABORT, '{_LATE}') WHERE changes() <> NEW.jobs"
_ONE_BY_ONE: Final = {
    "born": f"{INSERT_ALL};",
    "succeeded": f"{SUCCEED_ALL}; {_UNLESS_ALL};",
    "assigned": f"{ASSIGN_ALL}; {_UNLESS_ALL};",
}
_ALIKE: Final = {
    "born alike": f"{INSERT_ALIKE};",
    "succeeded alike": f"{SUCCEED_ALIKE}; {_UNLESS_ALL};",
    "assigned alike": f"{ASSIGN_ALIKE}; {_UNLESS_ALL};",
}


def prepare(connection: sqlite3.Connection) -> None:
    """Give a fresh connection the views and the triggers that `run` needs; the file has none.

    What is few needs no columns of families: they cost a lone change a fifth of its time.
    """
    connection.execute("PRAGMA temp_store=MEMORY")
    _make(connection, "hot", _OWN, _ONE_BY_ONE)
    _make(connection, "hot_many", _OWN + _OTHERS, _ONE_BY_ONE | _ALIKE)


def _make(
    connection: sqlite3.Connection, view: str, columns: Sequence[str], kinds: Mapping[str, str]
) -> None:
    nothing = ", ".join(f"NULL AS {name}" for name in columns)
    connection.execute(f"CREATE TEMP VIEW {view} AS SELECT {nothing}")
    for kind, body in kinds.items():
        connection.execute(
            f'CREATE TEMP TRIGGER "{view} {kind}" INSTEAD OF INSERT ON {view} '
            f"WHEN NEW.kind = '{kind}' BEGIN {body.replace('?', 'NEW.given')} END"
        )


def is_late(error: sqlite3.Error) -> bool:
    """Whether `run` failed since a change hit no job: some token was old."""
    return error.args[:1] == (_LATE,)


def statement(rows: HotRows) -> Statement:
    """What `run` takes; raises ItemFault or the encoder's errors."""
    newborn, born = born_alike(rows.newborn)
    succeeded, ended = changed_alike(rows.succeeded)
    assigned, begun = changed_alike(rows.assigned)
    odd = {
        "born": [row_of(*one) for one in newborn],
        "succeeded": succeeded,
        "assigned": assigned,
    }
    values = [(kind, len(each), as_json(each)) for kind, each in odd.items() if each]
    many = [
        *_families("born alike", _BORN, born),
        *_families("succeeded alike", SUCCEEDED[1:], ended),
        *_families("assigned alike", ASSIGNED[1:], begun),
    ]
    if not many:
        return f"{HOT} VALUES {', '.join((_FEW,) * len(values))}", tuple(chain(*values))
    rest = ", ".join((_ROW,) * len(values) + (_FAMILY,) * len(many))
    return f"{HOT}_many VALUES {rest}", tuple(chain(*values, *many))


def _families(kind: str, names: Sequence[str], families: Iterable[Family]) -> list[list[Any]]:
    """Rows of the view; `names` are those of the columns that each family shares."""
    found = []
    for shared, jobs, given in families:
        values = dict(zip(names, shared, strict=True))
        found.append([kind, jobs, given, *map(values.get, _OTHERS)])
    return found


def run(connection: sqlite3.Connection, statement: Statement) -> None:
    """Make all changes."""
    connection.execute(*statement)
