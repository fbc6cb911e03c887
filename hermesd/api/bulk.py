"""Operators' orders to many jobs at once: retry, cancel, requeue, purge.

A request does a bounded part of its order and answers where to go on, so that it ends in time
whatever there is, and a restart in between loses nothing. The jobs are taken in the order of their
creation, those that are named too; without names up to the newest one that there was at the first
request: each is met once, also if it fails again meanwhile. Between two chunks the store is left to
others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import trio
from msgspec.structs import replace

from hermesd.api.events import EventRing
from hermesd.api.named import Named, Walkable
from hermesd.api.operate import Aftermath
from hermesd.core.errors import InvalidValue, OutcomeUnknown, Unavailable
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.opaque import opened, sealed
from hermesd.core.records import JobFilter
from hermesd.core.searches import Found, Reach
from hermesd.core.states import TERMINAL, State
from hermesd.ports import Clock, JobReader, JobStore

CHUNK: Final = 500  # jobs in one transaction
MAX_CHUNK_BYTES: Final = 8 * 1024 * 1024  # of their payloads
ROWS: Final = 1_000  # jobs that are looked at before some of them are changed
# Of one request: jobs that are changed, those that are only counted, and its time.
MAX_CHANGED: Final = 10_000
MAX_COUNTED: Final = 100_000
MAX_SECONDS: Final = 5.0
WORK_SHARE: Final = 0.5  # of the time in which the store is asked to change something

_KIND: Final = "b1"
_LAST: Final = "~"  # sorts behind all ids
_RETRIED: Final = {State.FAILED: EventKind.REQUEUED, State.SCHEDULED: EventKind.DUE}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs: these `ids`, or (None) all that fit `wanted`, from `cursor` on.

    `dry_run` counts only.
    """

    ids: tuple[str, ...] | None = None
    wanted: JobFilter = JobFilter()
    dry_run: bool = False
    cursor: str | None = None


class Done(NamedTuple):
    """How many jobs fitted, were changed, and were left as they had become or were (`skipped`).

    `cursor` is where to go on (None: that was all). `held_back`: for now the queue has no room.
    """

    matched: int = 0
    changed: int = 0
    skipped: int = 0
    cursor: str | None = None
    held_back: bool = False


class Place(NamedTuple):
    """The job to go on with, and the last one that is meant; both by id."""

    start: str
    until: str

    def cursor(self) -> str:
        """For the client."""
        return sealed(_KIND, f"{self.start}/{self.until}")

    @classmethod
    def of(cls, cursor: str) -> Place:
        """What a client brought back; raises InvalidValue."""
        start, slash, until = (opened(_KIND, cursor) or "").rpartition("/")
        if not slash:
            raise InvalidValue("cursor is not one that such an order has answered")
        return cls(start, until)


Act = Callable[[Sequence[Found]], Awaitable[int]]


class Bulk:
    """Carries the orders out; `room` tells how many more jobs may begin to wait for now."""

    def __init__(
        self,
        jobs: JobStore,
        reader: JobReader,
        clock: Clock,
        ring: EventRing,
        aftermath: Aftermath,
        room: Callable[[], int],
    ) -> None:
        self._ring = ring
        self._jobs = jobs
        self._reader = reader
        self._clock = clock
        self._aftermath = aftermath
        self._room = room

    async def retry(self, order: Order) -> Done:
        """Give failed jobs a new run; where the filter names scheduled ones, make these due."""
        if order.ids is not None:
            states: tuple[State, ...] = tuple(_RETRIED)
        else:
            states = _narrowed(order, (State.FAILED,), tuple(_RETRIED), "retried")
        return await self._carry_out(order, states, self._retry, bounded=True)

    async def requeue(self, order: Order) -> Done:
        """Give failed jobs a new run."""
        return await self._carry_out(order, (State.FAILED,), self._retry, bounded=True)

    async def cancel(self, order: Order) -> Done:
        """Cancel waiting jobs, and ask running ones to end."""
        live = tuple(state for state in State if state not in TERMINAL)
        states = _narrowed(order, live, live, "cancelled")
        return await self._carry_out(order, states, self._cancel)

    async def purge(self, order: Order) -> Done:
        """Delete failed jobs for good."""
        return await self._carry_out(order, (State.FAILED,), self._purge)

    async def _carry_out(
        self, order: Order, states: tuple[State, ...], act: Act, *, bounded: bool = False
    ) -> Done:
        wanted = replace(order.wanted, states=states)
        jobs: Walkable = self._reader if order.ids is None else Named(self._reader, order.ids)
        place = await self._place(order)
        if place is None:
            return Done()
        part = _Part(self._clock, place, act, self._room if bounded else lambda: CHUNK)
        done = await (part.count if order.dry_run else part.do)(jobs, wanted)
        if order.dry_run or not isinstance(jobs, Named):
            return done
        end = None if done.cursor is None else Place.of(done.cursor).start
        return done._replace(skipped=jobs.between(place.start, end) - done.changed)

    async def _place(self, order: Order) -> Place | None:
        """Where to begin, None where there is no job; raises InvalidValue for a wrong cursor."""
        if order.cursor is None:
            if order.ids is not None:
                return Place("", _LAST)
            newest = await self._reader.page(JobFilter(), None, 1)
            return Place("", newest.jobs[0].id) if newest.jobs else None
        place = Place.of(order.cursor)
        if (place.until == _LAST) != (order.ids is not None):
            raise InvalidValue("cursor is of an order that meant other jobs")
        return place

    async def _retry(self, chunk: Sequence[Found]) -> int:
        answers = await self._jobs.requeue([found.id for found in chunk])
        queued: dict[State, list[Job]] = {}
        for found, job in zip(chunk, answers, strict=True):
            if job is not None:
                queued.setdefault(found.state, []).append(job)
        for source, jobs in queued.items():
            self._aftermath.queued(jobs, source, _RETRIED[source])
        return sum(map(len, queued.values()))

    async def _cancel(self, chunk: Sequence[Found]) -> int:
        answers = await self._jobs.cancel_many([found.id for found in chunk])
        changed = [answer for answer in answers if answer is not None]
        for answer in changed:
            if answer.now.state is State.CANCELLED:
                self._aftermath.cancelled(answer.before, answer.now)
                self._ring.publish(EventKind.CANCELLED, job=answer.now)
            else:
                self._ring.publish(EventKind.CANCEL_REQUESTED, job=answer.now)
                self._aftermath.cancel_requested(answer.now)
        return len(changed)

    async def _purge(self, chunk: Sequence[Found]) -> int:
        purged = await self._jobs.purge([found.id for found in chunk])
        self._aftermath.purged(purged)
        return purged


class _Part:
    """What one request does of an order; `room` is for how many jobs more there is some."""

    def __init__(self, clock: Clock, place: Place, act: Act, room: Callable[[], int]) -> None:
        self._clock = clock
        self._place = place
        self._act = act
        self._room = room
        self._ends_at = clock.monotonic() + MAX_SECONDS
        self._matched = 0
        self._changed = 0

    async def count(self, jobs: Walkable, wanted: JobFilter) -> Done:
        """Change nothing."""
        while True:
            walked = await jobs.walk(wanted, self._reach())
            self._matched += len(walked.jobs)
            if walked.next_start is None:
                return Done(self._matched)
            self._go_on_at(walked.next_start)
            if self._matched >= MAX_COUNTED or self._late():
                return Done(self._matched, cursor=self._place.cursor())

    async def do(self, jobs: Walkable, wanted: JobFilter) -> Done:
        """Change them; what was done before a fault of the store is answered as done."""
        while True:
            walked = await jobs.walk(wanted, self._reach())
            left = walked.jobs
            while left:
                self._go_on_at(left[0].id)
                room = self._room()
                if room <= 0 or self._matched >= MAX_CHANGED or (self._matched and self._late()):
                    return self._done(held_back=room <= 0)
                chunk = first_chunk(left, min(room, CHUNK))
                if not await self._did(chunk):
                    return self._done()
                left = left[len(chunk) :]
            if walked.next_start is None:
                return Done(self._matched, self._changed, self._matched - self._changed)
            self._go_on_at(walked.next_start)
            if self._late():
                return self._done()

    async def _did(self, chunk: Sequence[Found]) -> bool:
        """Change a chunk, and rest for as long; False where that failed after others were done."""
        begun = self._clock.monotonic()
        try:
            changed = await self._act(chunk)
        except (Unavailable, OutcomeUnknown):
            if not self._matched:
                raise
            return False
        self._matched += len(chunk)
        self._changed += changed
        await trio.sleep((self._clock.monotonic() - begun) * (1 / WORK_SHARE - 1))
        return True

    def _reach(self) -> Reach:
        return Reach(start=self._place.start, until=self._place.until, rows=ROWS)

    def _go_on_at(self, job_id: str) -> None:
        self._place = self._place._replace(start=job_id)

    def _late(self) -> bool:
        return self._clock.monotonic() >= self._ends_at

    def _done(self, *, held_back: bool = False) -> Done:
        skipped = self._matched - self._changed
        return Done(self._matched, self._changed, skipped, self._place.cursor(), held_back)


def first_chunk(jobs: Sequence[Found], most: int) -> Sequence[Found]:
    """The first of `jobs` that are changed together: some, and not too many bytes of payload."""
    size = 0
    for place, job in enumerate(jobs[:most]):
        size += job.size_bytes
        if place and size > MAX_CHUNK_BYTES:
            return jobs[:place]
    return jobs[:most]


def _narrowed(
    order: Order, meant: tuple[State, ...], possible: tuple[State, ...], done: str
) -> tuple[State, ...]:
    """The states that an order means; raises InvalidValue for those from which it cannot be."""
    wrong = [state for state in order.wanted.states if state not in possible]
    if wrong:
        raise InvalidValue(
            f"jobs that are {wrong[0]} cannot be {done}; {', '.join(possible)} ones can",
            known=[str(state) for state in possible],
        )
    return order.wanted.states or meant
