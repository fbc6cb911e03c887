"""What a group's transaction asks of its database: the seam between the two dialects.

Rows are tuples; the constants beside each method name their order. A database may send a statement
later than it was asked for, so that its fault shows later too, but always before the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from hermesd.core.fleet import Incarnation
from hermesd.core.job import Token
from hermesd.stores.hot import HotRows
from hermesd.stores.rows import Row

EVENT: Final = (
    "time_us",
    "job_id",
    "job_type",
    "kind",
    "worker_id",
    "message",
    "run",
    "attempt",
    "started_us",
    "rung",
    "error",
)
KEY: Final = ("principal", "key_hash", "body_hash", "job_id", "expires_us")
TYPE: Final = ("name", "definition", "last_seen_us", "source")
FOREVER_US: Final = 2**62

Values = tuple[Any, ...]


class LateChange(Exception):
    """Not every change that was written unseen hit its job: do the group again, looking at each."""


class JobTables(Protocol):
    """The jobs, and what hangs on them, within one transaction of one connection."""

    def jobs(self, ids: Sequence[str], *, whole: bool = True) -> Sequence[Row]:
        """Those that exist; nobody else changes them until the end of the transaction.

        Their payloads, which may be large and never change, are empty unless they are `whole`.
        """

    def due(self, at_us: int, limit: int) -> Sequence[str]:
        """The ids of scheduled jobs whose time has come, the earliest first; a portion at most."""

    def orphans(self, limit: int) -> Sequence[str]:
        """The ids of running jobs whose incarnation is fenced or absent; a portion at most."""

    def living(self, incarnations: Iterable[str]) -> frozenset[str]:
        """Those of the incarnations that are known and not fenced."""

    def keys(self, names: Sequence[tuple[str, str]]) -> Sequence[Values]:
        """(*KEY, final_state) of the idempotency keys that are known, by (principal, key hash).

        Nobody else looks these up or puts them until the end of the transaction.
        """

    def insert(self, rows: Sequence[Values]) -> None:
        """New jobs: the values of `rows.COLUMNS` each."""

    def put_keys(self, rows: Sequence[Values]) -> None:
        """The values of KEY each; what was known of a key is replaced."""

    def change(self, rows: Sequence[Values]) -> None:
        """(id, state and lease as they were, then `rows.CHANGING`); Broken where one hits nothing.

        A job that enters `queued` under a new lease loses its publish mark.
        """

    def add_events(self, rows: Sequence[Values]) -> None:
        """The values of EVENT each."""

    def hand_over(self, rows: Sequence[tuple[str, int, int]]) -> Sequence[Token]:
        """Let the broker own waiting jobs of the store: (id, lease, published_us); which it did."""

    def hot(self, rows: HotRows) -> None:
        """Write what needs no look; raises LateChange, now or later, where one hits nothing."""

    def purge(self, ids: Sequence[str], at_us: int) -> int:
        """Delete ended jobs with all that hangs on them, and expired keys; how many jobs it was."""


class FleetTables(Protocol):
    """Incarnations, types and the like, within the same transaction."""

    def register(self, new: Incarnation, at_us: int) -> bool:
        """Add or renew, heard now; False where it is fenced."""

    def heard(self, incarnations: Sequence[str], at_us: int) -> frozenset[str]:
        """Renew; those that are known and not fenced."""

    def fence(self, incarnation: str, latest_us: int) -> bool:
        """Fence if it was last heard then or before; True if that was done now."""

    def count_as_heard(self, at_us: int) -> None:
        """All living ones."""

    def forget(self, latest_us: int) -> int:
        """Drop fenced ones last heard then or before that hold no job; how many."""

    def learn(self, rows: Sequence[Values]) -> None:
        """The values of TYPE each; a name that is known is replaced."""

    def touch(self, at_us: int) -> None:
        """Change something small, to see that it can be done."""


class Tables(Protocol):
    """All of a database, within one transaction."""

    @property
    def jobs(self) -> JobTables:
        """Jobs."""

    @property
    def fleet(self) -> FleetTables:
        """Incarnations and types."""

    def execute(self, statement: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """What both dialects take, `?` for each value; its rows, empty for a change."""
