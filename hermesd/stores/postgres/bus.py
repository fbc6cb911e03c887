"""The bus over PostgreSQL's LISTEN and NOTIFY, on a connection of its own.

https://www.postgresql.org/docs/current/sql-notify.html. One task reads the socket, whatever comes:
notifications, and the answer to the NOTIFY that is under way. Nothing here blocks but the dialling,
which has a thread.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
import trio
from psycopg import pq
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import ConfigError
from hermesd.core.outgoing import Outgoing
from hermesd.core.words import Heard, Word, read
from hermesd.signal import Signal
from hermesd.stores.inbox import Inbox
from hermesd.stores.postgres.connection import Line, Lost, open_connection, told

CHANNEL: Final = "hermesd"
PAUSE_SECONDS: Final = 0.05  # between two letters
ANSWER_SECONDS: Final = 10.0
FAREWELL_SECONDS: Final = 1.0  # for what is to be said when the bus closes
BACKOFF_SECONDS: Final = (0.1, 5.0)  # before the next dialling, and at most
# A letter that a crash swallows is no loss, so that none need wait for the disk.
SETTINGS: Final = ("jit=off", "synchronous_commit=off")
_LISTEN: Final = f"LISTEN {CHANNEL}".encode()
_NOTIFY: Final = b"SELECT pg_notify($1, $2)"


class PostgresBus:
    """See ports.Bus."""

    def __init__(self, line: Line, api: str, boot: str, log: FilteringBoundLogger) -> None:
        self._line = line
        self._boot = boot
        self._log = log
        self._outgoing = Outgoing(api, boot)
        self._news = Signal()
        self._inbox = Inbox()
        self._said = Signal()  # nothing is left to be told
        self._down = False
        self.letters = 0  # told since the start

    @property
    def shared(self) -> bool:
        """Any number of apis may have one database."""
        return True

    def tell(self, word: Word) -> None:
        """At the next letter."""
        self._outgoing.add(word)
        self._news.set()

    async def words(self) -> AsyncIterator[Heard]:
        """As they come."""
        async for heard in self._inbox.letters():
            yield heard

    async def run(self) -> None:
        """Keep a connection, for ever; a lost one is dialled again, later each time."""
        least, most = BACKOFF_SECONDS
        wait = least
        while True:
            try:
                connection = await self._dial()
                try:
                    wait = least
                    await self._serve(connection.pgconn)
                finally:
                    connection.close()
            except (psycopg.Error, Lost, ConfigError, OSError) as error:
                if not self._down:
                    self._log.warning("bus between apis is down", why=told(error))
                self._down = True
            await trio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, most)

    async def said(self, seconds: float) -> None:
        """Return when all is told, or after so long."""
        with trio.move_on_after(seconds):
            while self._outgoing:
                await self._said.wait()

    async def _dial(self) -> psycopg.Connection[tuple[object, ...]]:
        return await trio.to_thread.run_sync(
            open_connection, self._line, "bus", SETTINGS, abandon_on_cancel=True
        )

    async def _serve(self, raw: pq.abc.PGconn) -> None:
        """Listen and tell until the connection is lost."""
        raw.nonblocking = 1
        talk = _Talk(raw)
        lost: list[Exception] = []

        async with trio.open_nursery() as nursery:

            async def hear() -> None:
                try:
                    while True:
                        for text in await talk.heard():
                            self._hear(text)
                except (psycopg.Error, Lost, OSError) as error:
                    lost.append(error)
                nursery.cancel_scope.cancel()

            nursery.start_soon(hear)
            try:
                await talk.do(_LISTEN)
                self._inbox.missed()  # whatever was said before
                if self._down:
                    self._log.info("bus between apis is up again")
                self._down = False
                await self._tell(talk)
            except (psycopg.Error, Lost, OSError) as error:
                lost.append(error)
                nursery.cancel_scope.cancel()
        if lost:
            raise lost[0]

    async def _tell(self, talk: _Talk) -> None:
        while True:
            while (text := self._outgoing.take()) is not None:
                refusal = await talk.do(_NOTIFY, CHANNEL.encode(), text)
                self.letters += 1
                if refusal:
                    self._log.warning("a letter was refused", why=refusal)
                await trio.sleep(PAUSE_SECONDS)
            self._said.set()
            await self._news.wait()

    def _hear(self, text: bytes) -> None:
        heard = read(text)
        if heard is not None and heard.boot != self._boot:
            self._inbox.put(heard)


class _Talk:
    """What goes over one connection: statements one by one, and what comes unasked."""

    def __init__(self, raw: pq.abc.PGconn) -> None:
        self._raw = raw
        self._refusal: str | None = None
        self._answered = trio.Event()
        self._asking = False

    async def do(self, statement: bytes, *values: bytes) -> str:
        """Run one statement; why the server refused it, empty where it did not. Raises Lost."""
        self._answered, self._refusal, self._asking = trio.Event(), "", True
        self._raw.send_query_params(statement, list(values))
        with trio.move_on_after(ANSWER_SECONDS):
            while self._raw.flush():
                await trio.lowlevel.wait_writable(self._raw.socket)
            await self._answered.wait()
            return self._refusal or ""
        raise Lost(f"no answer for {ANSWER_SECONDS:g} s")

    async def heard(self) -> list[bytes]:
        """Wait for something to come; the notifications among it."""
        await trio.lowlevel.wait_readable(self._raw.socket)
        self._raw.consume_input()
        if self._asking and not self._raw.is_busy():
            self._take_answer()
        found = []
        while (notification := self._raw.notifies()) is not None:
            found.append(notification.extra)
        return found

    def _take_answer(self) -> None:
        while (result := self._raw.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                self._refusal = result.error_message.decode("utf-8", "replace").strip()
            if self._raw.is_busy():
                return  # the end of it is still to come
        self._asking = False
        self._answered.set()


@asynccontextmanager
async def open_bus(
    line: Line, api: str, boot: str, log: FilteringBoundLogger
) -> AsyncIterator[PostgresBus]:
    """The bus of one boot of an api; it need not be up, and comes back by itself."""
    bus = PostgresBus(line, api, boot, log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.run)
        try:
            yield bus
        finally:
            with trio.CancelScope(shield=True):
                await bus.said(FAREWELL_SECONDS)
            nursery.cancel_scope.cancel()
