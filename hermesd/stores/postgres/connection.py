"""PostgreSQL connections, their limits, and what their errors mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores.backend import ItemFault

OLDEST: Final = 130000  # the server's version, as it numbers them: 13.0
GRACE_SECONDS: Final = 5.0  # past the server's own time limit, before it counts as gone
IDLE_IN_TRANSACTION_SECONDS: Final = 20.0
KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# Every statement of ours knows its index. A plan made while a table was empty would scan it, and is
# kept for as long as nobody analyses the table: it must not come to that.
WRITER_SETTINGS: Final = (
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "plan_cache_mode=force_generic_plan",
    "jit=off",
)
READER_SETTINGS: Final = ("default_transaction_read_only=on", "jit=off")

MISSED: Final = "22012"  # division_by_zero: see statements._all_or_none
_ITEM_CLASSES: Final = ("22", "23", "54")  # data, constraints, limits of a row or statement
_ITEM_ERRORS: Final = (ValueError, OverflowError, msgspec.MsgspecError)
# The connection ends with it: by an operator, a crash, a time limit of idling, or a broken line.
_ENDINGS: Final = ("57P", "08", "25P03")
_CONFLICTS: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock


class Line(msgspec.Struct, kw_only=True):
    """Where the database is, and for how long it may take: the limits are in seconds.

    Whoever opens a connection reads `url` then, so that a new password can be put into it.
    """

    url: str
    connect_seconds: float
    lock_seconds: float
    statement_seconds: float

    @property
    def answer_seconds(self) -> float:
        """After what time without an answer the connection counts as lost."""
        return self.statement_seconds + GRACE_SECONDS


class Refused(Exception):
    """The server's own answer: it did not do a statement. `sqlstate` is '' where it has none."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @property
    def of_item(self) -> bool:
        """Whether what was to be stored is at fault."""
        return self.sqlstate[:2] in _ITEM_CLASSES and not self.missed

    @property
    def missed(self) -> bool:
        """Whether a change that was written unseen did not hit its job."""
        return self.sqlstate == MISSED

    @property
    def ends(self) -> bool:
        """Whether the connection ends with it."""
        return self.sqlstate.startswith(_ENDINGS)

    @property
    def conflict(self) -> bool:
        """Whether another transaction was in the way, so that the same may work now."""
        return self.sqlstate in _CONFLICTS


class Lost(Exception):
    """The connection is gone, or the server does not answer; it is of no use any more."""


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that counts as lost when it has not answered within `answer_seconds`."""

    answer_seconds = 60.0
    silent = False  # whether that has come to pass

    def wait(self, gen: Any, interval: float = 1.0, timeout: float | None = None) -> Any:
        """See psycopg.Connection.wait."""
        begun = time.monotonic()
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:
                self.silent = time.monotonic() - begun >= self.answer_seconds
                self.pgconn.finish()
            raise


def open_connection(line: Line, purpose: str, settings: tuple[str, ...]) -> BoundedConnection:
    """An autocommit connection with its limits; `purpose` is part of its application_name.

    Raises psycopg.Error where it cannot be had.
    """
    given = conninfo_to_dict(line.url)
    limits = (
        f"statement_timeout={max(round(line.statement_seconds * 1000), 1)}",
        f"lock_timeout={max(round(line.lock_seconds * 1000), 1)}",  # 0 would be none at all
        f"idle_in_transaction_session_timeout={round(IDLE_IN_TRANSACTION_SECONDS * 1000)}",
        *settings,
    )
    options = " ".join(f"-c {one}" for one in limits)
    if given.get("options"):
        options = f"{options} {given['options']}"
    own: dict[str, Any] = {
        "connect_timeout": max(round(line.connect_seconds), 1),
        "application_name": f"hermesd-{purpose}",
        **KEEPALIVE,
    }
    connection = BoundedConnection.connect(
        line.url, autocommit=True, **{**own, **kept(given, own), "options": options}
    )
    connection.answer_seconds = line.answer_seconds
    # A plan that is kept may have been made while a table was empty: each read is planned anew.
    connection.prepare_threshold = None
    return connection


def kept(given: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What the url says itself goes before what is the rule here."""
    return {name: value for name, value in given.items() if name in own and value is not None}


def told(error: BaseException) -> str:
    """An error's first line, for people."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def translated() -> Iterator[None]:
    """Raise ItemFault, ConfigError or StoreUnavailable in place of the driver's errors."""
    try:
        yield
    except Refused as error:
        if error.of_item:
            raise ItemFault(str(error)) from error
        raise StoreUnavailable(f"PostgreSQL: {told(error)}") from error
    except Lost as error:
        raise StoreUnavailable(f"PostgreSQL: {told(error)}") from error
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:  # the url, which libpq could not read
            raise ConfigError([f"store.url: {told(error)}"]) from None
        raise StoreUnavailable(f"PostgreSQL: {told(error)}") from error
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] in _ITEM_CLASSES or isinstance(error, psycopg.DataError):
            raise ItemFault(told(error)) from error
        raise StoreUnavailable(f"PostgreSQL: {told(error)}") from error


@contextmanager
def encoding() -> Iterator[None]:
    """Raise ItemFault in place of the encoder's errors."""
    try:
        yield
    except _ITEM_ERRORS as error:
        raise ItemFault(f"not storable: {type(error).__name__}") from error
