"""What needs no look (see `stores.hot`) as one statement.

SQLite runs one statement for one call of Python's, without the interpreter's lock; outside of a
transaction it is one by itself, so that a thread commits a whole group, disk included, and meets
the event loop only once, at the end. What makes several statements one is a view that nobody
reads: inserting into it sets off triggers. They also do the comparing: where one change hits
nothing, none is made.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from hermesd.stores.hot import HotRows
from hermesd.stores.rows import as_json, row_of
from hermesd.stores.sqlite.alike import families_of
from hermesd.stores.sqlite.statements import (
    ASSIGN_ALL,
    INSERT_ALIKE,
    INSERT_ALL,
    SUCCEED_ALL,
)
from hermesd.stores.tables import Values

HOT: Final = "INSERT INTO hot VALUES (?, ?, ?, ?, ?, ?)"
_PARAMETERS: Final = HOT.count("?")
_FAMILY: Final = ", (NULL, ?, NULL, 0, NULL, 0)"
_LATE: Final = "a change hit no job"
_UNLESS_ALL: Final = f"SELECT RAISE(ABORT, '{_LATE}') WHERE changes() <>"
_VIEW: Final = (
    "CREATE TEMP VIEW hot AS SELECT NULL AS born, NULL AS alike, NULL AS succeeded, "
    "0 AS successes, NULL AS assigned, 0 AS assignments"
)
_TRIGGERS: Final = (
    ("born", f"{INSERT_ALL};"),
    ("alike", f"{INSERT_ALIKE};"),
    ("succeeded", f"{SUCCEED_ALL}; {_UNLESS_ALL} NEW.successes;"),
    ("assigned", f"{ASSIGN_ALL}; {_UNLESS_ALL} NEW.assignments;"),
)


def prepare(connection: sqlite3.Connection) -> None:
    """Give a fresh connection the view and the triggers that `run` needs; the file has none."""
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(_VIEW)
    for column, body in _TRIGGERS:
        connection.execute(
            f"CREATE TEMP TRIGGER hot_{column} INSTEAD OF INSERT ON hot "
            f"WHEN NEW.{column} IS NOT NULL BEGIN {body.replace('?', f'NEW.{column}')} END"
        )


def is_late(error: sqlite3.Error) -> bool:
    """Whether `run` failed since a change hit no job: some token was old."""
    return error.args[:1] == (_LATE,)


def values(rows: HotRows) -> Values:
    """The parameters of `run`; raises ItemFault or the encoder's errors."""
    odd, families = families_of(rows.newborn)
    return (
        as_json([row_of(*one) for one in odd]) if odd else None,
        families[0] if families else None,
        as_json(rows.succeeded) if rows.succeeded else None,
        len(rows.succeeded),
        as_json(rows.assigned) if rows.assigned else None,
        len(rows.assigned),
        *families[1:],
    )


def run(connection: sqlite3.Connection, values: Values) -> None:
    """Make all changes; the parameters say of how many families of new jobs there are."""
    connection.execute(HOT + _FAMILY * (len(values) - _PARAMETERS), values)
