"""The Outbox port: writes through the group commit, reads in threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job, Token
from hermesd.core.records import BrokerRange, PulledAnswer, PulledOutcome, Verdict
from hermesd.stores.backend import Part, Verb
from hermesd.stores.micros import micros
from hermesd.stores.moves import check_settleable
from hermesd.stores.sqlite import statements
from hermesd.stores.sqlite.jobs import Writes
from hermesd.stores.sqlite.reads import ReadPool
from hermesd.stores.sqlite.rows import as_json


class SqliteOutbox:
    """Outbox; see `ports.Outbox` for the contract of each method."""

    def __init__(self, writes: Writes, reads: ReadPool) -> None:
        self._writes = writes
        self._reads = reads

    async def hand_over(self, tokens: Sequence[Token], at: float) -> Sequence[bool]:
        """Whether each waits at the broker now by this call."""
        return await self._writes.do(Verb.HAND_OVER, [(token, micros(at)) for token in tokens])

    async def take_back(self, tokens: Sequence[Token], at: float) -> Sequence[Job | None]:
        """Each job as it waits in the store, or None."""
        return await self._writes.do(Verb.TAKE_BACK, [(token, at) for token in tokens])

    async def with_broker(self, wanted: BrokerRange) -> Sequence[Token]:
        """By the time of publishing."""
        if wanted.limit < 1:
            return ()
        return await self._reads.run(partial(_with_broker, wanted))

    async def broker_counts(self, published_before: float) -> Mapping[tuple[str, int], int]:
        """Through the index of those at the broker."""
        return await self._reads.run(partial(_broker_counts, micros(published_before)))

    async def settle_pulled(
        self, outcomes: Sequence[PulledOutcome], at: float
    ) -> Sequence[PulledAnswer]:
        """Claims and outcomes in one transaction."""
        for outcome in outcomes:
            if outcome.settlement is not None:
                check_settleable(outcome.settlement)
        items = [(outcome, at) for outcome in outcomes]
        answers = await self._writes.answers(Verb.SETTLE_PULLED, items)
        errors = [one for one in answers if isinstance(one, Exception)]
        if errors and len(errors) == len(answers):
            raise errors[0]
        retry = PulledAnswer(verdict=Verdict.RETRY)
        return [retry if isinstance(one, Exception) else one for one in answers]


def hand_over(connection: sqlite3.Connection, parts: Sequence[Part]) -> list[list[bool]]:
    """The parts of that verb in one transaction, all with one statement; an answer for each item.

    Must come before any of the jobs is read to be changed, since it leaves their leases alone.
    """
    rows = [(token.job_id, token.lease, at) for part in parts for token, at in part.items]
    given = as_json(rows)
    (found,) = connection.execute(statements.STILL_OWN, (given,)).fetchone()
    left = set(msgspec.json.decode(found, type=list[Token]))
    if left:
        connection.execute(statements.HAND_OVER, (given,))
    return [[_once(left, token) for token, _ in part.items] for part in parts]


def _once(left: set[Token], token: Token) -> bool:
    """A token that is named twice serves once."""
    found = token in left
    left.discard(token)
    return found


def _with_broker(wanted: BrokerRange, connection: sqlite3.Connection) -> list[Token]:
    lowest = max(wanted.lowest, LOWEST_PRIORITY)
    highest = min(wanted.highest, HIGHEST_PRIORITY)
    if lowest > highest:
        return []
    before = micros(wanted.published_before)
    values: list[object] = []
    for priority in range(lowest, highest + 1):
        values += (wanted.queue, priority, before, wanted.limit)
    parts = " UNION ALL ".join([statements.AT_BROKER] * (highest - lowest + 1))
    query = (
        "SELECT json_group_array(json_array(id, lease)) FROM "
        f"(SELECT * FROM ({parts}) ORDER BY published_us, id LIMIT ?)"
    )
    (found,) = connection.execute(query, (*values, wanted.limit)).fetchone()
    return msgspec.json.decode(found, type=list[Token])


def _broker_counts(before_us: int, connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    rows = connection.execute(statements.COUNT_AT_BROKER, (before_us,)).fetchall()
    return {(queue, priority): number for queue, priority, number in rows}
