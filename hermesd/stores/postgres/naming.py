"""The name of an api, held by a lock of a database session, so that no two apis have one name.

https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS. The lock goes with the
session, which ends with its process: a killed api can be started again at once.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores.postgres.connection import (
    BoundedConnection,
    Line,
    open_connection,
    translated,
)

PATIENCE_SECONDS: Final = 5.0  # for a session whose process has just ended
RETRY_SECONDS: Final = (0.1, 5.0)  # the least, and the most
# The server notices a host that is gone by its own probes, not by ours.
SETTINGS: Final = (
    "jit=off",
    "tcp_keepalives_idle=5",
    "tcp_keepalives_interval=5",
    "tcp_keepalives_count=3",
)
_TAKE: Final = "SELECT pg_try_advisory_lock(hashtextextended('hermesd api ' || %s::text, 0))"


class Name:
    """One api's name, while its session lasts."""

    def __init__(self, line: Line, name: str, log: FilteringBoundLogger) -> None:
        self._line = line
        self._name = name
        self._log = log
        self._session: BoundedConnection | None = None

    async def take(self) -> None:
        """Take it; raises ConfigError where another api has it, StoreUnavailable."""
        least, _ = RETRY_SECONDS
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                if await self._try():
                    return
                await trio.sleep(least)
        raise ConfigError(
            [
                f"api.name: an api named {self._name!r} is running on this database already; "
                "give each api a name of its own"
            ]
        )

    async def keep(self) -> None:
        """Take it again whenever the session was lost, for ever."""
        while True:
            await self._lost()
            self.close()
            wait, most = RETRY_SECONDS
            while not await self._again():
                await trio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, most)

    def close(self) -> None:
        """Let go of it."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    async def _lost(self) -> None:
        """Return when the session has ended; an idle one says nothing but that."""
        session = self._session
        while session is not None:
            await trio.lowlevel.wait_readable(session.fileno())
            try:
                await trio.to_thread.run_sync(_ask, session)
            except StoreUnavailable:
                return

    async def _again(self) -> bool:
        try:
            taken = await self._try()
        except (StoreUnavailable, ConfigError):
            return False  # the store says so itself
        if not taken:
            self._log.error("another api has this one's name", api=self._name)
        return taken

    async def _try(self) -> bool:
        # Shielded by its own time limits: a session that is opened must not be forgotten.
        with trio.CancelScope(shield=True):
            self._session = await trio.to_thread.run_sync(_take, self._line, self._name)
        return self._session is not None


def _take(line: Line, name: str) -> BoundedConnection | None:
    """A session that has the lock, None where another one has it."""
    with translated():
        session = open_connection(line, "name", SETTINGS)
        try:
            row = session.execute(_TAKE, (name,)).fetchone()
        except BaseException:
            session.close()
            raise
    if row is not None and row[0]:
        return session
    session.close()
    return None


def _ask(session: BoundedConnection) -> None:
    with translated():
        session.execute("SELECT 1")


@asynccontextmanager
async def hold_name(line: Line, name: str, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """Have the name within the block; see `Name.take` for what is raised."""
    held = Name(line, name, log)
    await held.take()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.keep)
            yield
            nursery.cancel_scope.cancel()
    finally:
        held.close()
