"""Statements that are sent together and answered in order: libpq's pipeline mode.

https://www.postgresql.org/docs/current/libpq-pipeline-mode.html. Below the driver's cursors, since
those go to the socket with each statement: a thread that does so gives the interpreter's lock away
each time, and under load may wait milliseconds for it. Here a transaction does it twice, or not at
all where the event loop waits for its answers.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Final

import psycopg
import trio
from psycopg import pq
from psycopg.pq.abc import PGresult

from hermesd.stores.backend import ItemFault
from hermesd.stores.postgres.connection import BoundedConnection, Lost, Refused

INT8, TEXT, FLOAT8 = 20, 25, 701  # the numbers of the types, in every server
_INTS: Final = (20, 21, 23)
_READ: Final[dict[int, Callable[[bytes], Any]]] = {
    **dict.fromkeys(_INTS, int),
    700: float,
    FLOAT8: float,
    16: b"t".__eq__,
}
_ABORTED: Final = "the pipeline was aborted"


class Answer:
    """What becomes of one statement; to be looked at after `Pipe.collect()`."""

    __slots__ = ("_result", "name")

    def __init__(self, name: bytes | None = None) -> None:
        self.name = name  # of the statement that it prepares, if that is what it does
        self._result: PGresult | None = None

    @property
    def count(self) -> int:
        """How many rows it changed."""
        return 0 if self._result is None else self._result.command_tuples or 0

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Its rows, numbers as such and all else as text."""
        result = self._result
        if result is None:
            return []
        readers = [_READ.get(result.ftype(place), _text) for place in range(result.nfields)]
        return [
            tuple(
                None if (value := result.get_value(row, place)) is None else reader(value)
                for place, reader in enumerate(readers)
            )
            for row in range(result.ntuples)
        ]

    def take(self, result: PGresult) -> Refused | None:
        """The server's answer; an error where it refused."""
        self._result = result
        if result.status == pq.ExecStatus.PIPELINE_ABORTED:
            return Refused("", _ABORTED)
        if result.status != pq.ExecStatus.FATAL_ERROR:
            return None
        state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        return Refused(state.decode(), message.decode("utf-8", "replace"))


class Pipe:
    """One connection in pipeline mode, used by one thread at a time; it closes it with itself."""

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection
        self._raw = connection.pgconn
        self._seconds = connection.answer_seconds
        self._poll = select.poll()
        self._open: deque[Answer | None] = deque()  # None: the end of a round
        self._prepared: dict[str, bytes] = {}
        self._numbers = count()
        self._refused: Refused | None = None  # the first of a round
        self._raw.enter_pipeline_mode()

    def send(self, statement: str, *values: bytes | None, binary: bool = False) -> Answer:
        """Queue a statement with `$1` and so on for its values, to be kept prepared.

        The values are all texts, or all `binary`.
        """
        name = self._prepared.get(statement)
        try:
            if name is None:
                name = b"h%d" % next(self._numbers)
                self._raw.send_prepare(name, statement.encode())
                self._prepared[statement] = name
                self._open.append(Answer(name))
            self._raw.send_query_prepared(name, values, [1] * len(values) if binary else None)
        except psycopg.Error as error:
            raise Lost(str(error)) from error
        return self._sent()

    def send_once(self, statement: str, values: Sequence[Any]) -> Answer:
        """Queue a statement that is not kept; its values are texts, numbers and None."""
        types = [_type_of(value) for value in values]
        plain = [None if value is None else _plain(value) for value in values]
        try:
            self._raw.send_query_params(statement.encode(), plain, types)
        except psycopg.Error as error:
            raise Lost(str(error)) from error
        return self._sent()

    def collect(self, *, end: bool = False) -> None:
        """Wait for all answers; raises the first Refused of them, or Lost.

        With `end` this is the end of a round: after a refusal nothing works before one.
        """
        try:
            if end:
                self._raw.pipeline_sync()
                self._open.append(None)
            else:
                self._raw.send_flush_request()
            until = time.monotonic() + self._seconds
            for writing in self._answers():
                self._await_socket(until, writing=writing)
        except psycopg.Error as error:
            raise Lost(str(error)) from error
        self._raise_refusal()

    @property
    def silent(self) -> bool:
        """Whether nothing has come unasked, such as word that the server has ended it."""
        self._poll.register(self._raw.socket, select.POLLIN)
        return not self._poll.poll(0)

    async def end(self) -> None:
        """`collect(end=True)` while other tasks go on, for statements with short answers."""
        try:
            with trio.move_on_after(self._seconds):
                self._raw.pipeline_sync()
                self._open.append(None)
                for writing in self._answers():
                    await self._socket_ready(writing=writing)
        except (psycopg.Error, OSError) as error:
            raise Lost(str(error)) from error
        if self._open:
            raise self._silence()
        self._raise_refusal()

    def close(self) -> None:
        """Break the connection off."""
        self._raw.finish()

    def _sent(self) -> Answer:
        answer = Answer()
        self._open.append(answer)
        return answer

    def _answers(self) -> Iterator[bool]:
        """Take all answers; each time that needs the socket, yields whether to write to it."""
        answered = False  # whether the first of those that are open has its result
        while self._open:
            unsent = self._raw.flush()
            if unsent or self._raw.is_busy():
                yield bool(unsent)
                self._raw.consume_input()
                continue
            result = self._raw.get_result()
            answer = self._open[0]
            if result is None:
                if answered:
                    self._open.popleft()
                answered = False
            elif answer is None:
                if result.status == pq.ExecStatus.FATAL_ERROR:  # and what was done, nobody says
                    raise Lost(result.error_message.decode("utf-8", "replace"))
                self._open.popleft()
            else:
                answered = True
                self._take(answer, result)

    def _take(self, answer: Answer, result: PGresult) -> None:
        refused = answer.take(result)
        if refused is not None:
            self._refused = self._refused or refused
            self._forget(answer)

    def _raise_refusal(self) -> None:
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    def _await_socket(self, until: float, *, writing: bool) -> None:
        events = select.POLLIN | (select.POLLOUT if writing else 0)
        self._poll.register(self._raw.socket, events)
        left = until - time.monotonic()
        if left <= 0 or not self._poll.poll(left * 1000):
            raise self._silence()

    async def _socket_ready(self, *, writing: bool) -> None:
        # Short answers fit into the socket, so that the server never waits for us to read.
        if writing:
            await trio.lowlevel.wait_writable(self._raw.socket)
        else:
            await trio.lowlevel.wait_readable(self._raw.socket)

    def _silence(self) -> Lost:
        return Lost(f"no answer for {self._seconds:g} s")

    def _forget(self, answer: Answer) -> None:
        """A statement that was not prepared after all."""
        if answer.name is not None:
            self._prepared = {
                statement: name for statement, name in self._prepared.items() if name != answer.name
            }


def _type_of(value: Any) -> int:
    if isinstance(value, int):
        return INT8
    if isinstance(value, float):
        return FLOAT8
    return 0 if value is None else TEXT


def _plain(value: Any) -> bytes:
    text = str(int(value) if isinstance(value, bool) else value)
    if "\0" in text:
        raise ItemFault("a text holds a NUL character")
    return text.encode()


def _text(value: bytes) -> str:
    return value.decode()
