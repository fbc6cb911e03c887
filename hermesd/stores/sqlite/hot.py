"""What needs no look (see `stores.hot`) as one statement.

SQLite runs one statement for one call of Python's, without the interpreter's lock; outside of a
transaction it is one by itself, so that a thread commits a whole group, disk included, and meets
the event loop only once, at the end. What makes several statements one is a view that nobody
reads: inserting into it sets off triggers. They also do the comparing: where one change hits
nothing, none is made.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from hermesd.stores.hot import HotRows
from hermesd.stores.rows import as_json
from hermesd.stores.sqlite.statements import ASSIGN_ALL, INSERT_ALL, SUCCEED_ALL

HOT: Final = "INSERT INTO hot VALUES (?, ?, ?, ?, ?)"

_LATE: Final = "a change hit no job"
_UNLESS_ALL: Final = f"SELECT RAISE(ABORT, '{_LATE}') WHERE changes() <>"
_VIEW: Final = (
    "CREATE TEMP VIEW hot AS SELECT NULL AS born, NULL AS succeeded, 0 AS successes, "
    "NULL AS assigned, 0 AS assignments"
)
_TRIGGERS: Final = (
    ("born", f"{INSERT_ALL};"),
    ("succeeded", f"{SUCCEED_ALL}; {_UNLESS_ALL} NEW.successes;"),
    ("assigned", f"{ASSIGN_ALL}; {_UNLESS_ALL} NEW.assignments;"),
)


def prepare(connection: sqlite3.Connection) -> None:
    """Give a fresh connection the view and the triggers that HOT needs; the file has none."""
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(_VIEW)
    for column, body in _TRIGGERS:
        connection.execute(
            f"CREATE TEMP TRIGGER hot_{column} INSTEAD OF INSERT ON hot "
            f"WHEN NEW.{column} IS NOT NULL BEGIN {body.replace('(?)', f'(NEW.{column})')} END"
        )


def is_late(error: sqlite3.Error) -> bool:
    """Whether HOT failed since a change hit no job: some token was old."""
    return error.args[:1] == (_LATE,)


def values(rows: HotRows) -> tuple[Any, ...]:
    """The parameters of HOT; raises ItemFault or the encoder's errors."""
    return (
        as_json(rows.born) if rows.born else None,
        as_json(rows.succeeded) if rows.succeeded else None,
        len(rows.succeeded),
        as_json(rows.assigned) if rows.assigned else None,
        len(rows.assigned),
    )
