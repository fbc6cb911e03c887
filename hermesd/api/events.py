"""The recent events of the fleet: a ring in memory that pages and streams are served from.

Writing an event is one append and never waits, whatever reads: a stream keeps no buffer of its
own but a position in the shared backlog, and one that has fallen behind it is told so and ends.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Final, NamedTuple

import trio

from hermesd.core.errors import Unavailable
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.records import EventRecord
from hermesd.core.untold import UntoldEvents
from hermesd.core.words import Event, Events
from hermesd.ports import Clock

# What a stream may be behind before it counts as lagged (about 1.5 MB in all).
BACKLOG: Final = 4096
LOOK_SECONDS: Final = 0.1  # between two looks for events that fit

# Time, kind, job id and type, worker, message, run, attempt: made into an EventRecord for those who
# read it, since most are never read. Not the job itself, which would keep its payload in memory.
_Noted = Event
_TOLD_OFTEN: Final = frozenset({EventKind.PROGRESS, EventKind.LOGGED})


class Numbered(NamedTuple):
    """An event and its number; numbers rise by one, also over restarts of the api."""

    seq: int
    event: EventRecord


class Lagged(Exception):
    """The reader was too slow: events that it has not seen are gone."""


class RingClosed(Exception):
    """The api is stopping: no further event will come."""


class EventRing:
    """The last events at this api and, as told, at others. To be used from its event loop only.

    `size` events are kept for pages and for streams that come back; at most `max_streams`
    subscriptions are open at a time.
    """

    def __init__(self, size: int, clock: Clock, max_streams: int) -> None:
        self._size = size
        self._clock = clock
        self._max_streams = max_streams
        # Microseconds of the start: no number of an earlier life of this api can be above it.
        self._last_seq = int(clock.utc() * 1_000_000)
        self._backlog: deque[_Noted] = deque(maxlen=max(size, BACKLOG))
        self._totals: Counter[str] = Counter()
        self._news = trio.Event()
        self._awaited = False
        self._streams = 0
        self._closed = False
        self.untold: UntoldEvents | None = None  # what other apis are to be told, if there are any

    def publish(
        self,
        kind: EventKind,
        *,
        job: Job | None = None,
        job_id: str = "",
        job_type: str = "",
        worker_id: str | None = None,
        message: str = "",
        run: int = 1,
        attempt: int = 0,
    ) -> None:
        """Tell of something, of `job` or of the attempt that id, type and numbers name."""
        now = self._clock.utc()
        if job is None:
            noted: _Noted = (now, kind, job_id, job_type, worker_id, message, run, attempt)
        else:
            noted = _noted(now, kind, job, worker_id, message)
        self._publish(kind, [noted])

    def publish_all(self, kind: EventKind, jobs: Sequence[Job], message: str = "") -> None:
        """Tell the same of each of several jobs."""
        now = self._clock.utc()
        self._publish(
            kind,
            [  # as `_noted`, whose call would cost as much again
                (now, kind, job.id, job.type, job.worker_id, message, job.run, job.attempts)
                for job in jobs
            ],
        )

    def relay(self, told: Events, api: str) -> None:
        """Tell of what has happened at another api, and of how much of it is not known here."""
        noted: list[_Noted] = list(told.events)
        if told.left_out:
            message = f"{told.left_out} events of {api} are not shown here"
            noted.append((self._clock.utc(), EventKind.LEFT_OUT, "", "", None, message, 1, 0))
        self._totals.update(told.kinds)
        self._append(noted)

    def _publish(self, kind: EventKind, noted: list[_Noted]) -> None:
        self._totals[kind] += len(noted)
        self._append(noted)
        if self.untold is not None:
            self.untold.add(kind, noted)

    def _append(self, noted: list[_Noted]) -> None:
        self._backlog.extend(noted)
        self._last_seq += len(noted)
        if self._awaited:
            self._wake()

    def resize(self, size: int, max_streams: int) -> None:
        """Keep so many events from now on, and open no more streams than that."""
        self._size = size
        self._max_streams = max_streams
        self._backlog = deque(self._backlog, maxlen=max(size, BACKLOG))

    def close(self) -> None:
        """End all streams once they have what there is; to be called when the api drains."""
        self._closed = True
        self._wake()

    def recent(
        self, limit: int, kind: str | None = None, job_id: str | None = None
    ) -> Sequence[EventRecord]:
        """Up to `limit` of the last `size` events, newest first.

        Those of other apis come late, and stand where they belong by their time. Of what a job
        tells again and again only the last word counts, unless such events are asked for.
        """
        fitting = (
            event_of(noted)
            for noted in islice(self._newest_first(repeats=kind is not None), self._size)
            if (kind is None or noted[1] == kind) and (job_id is None or noted[2] == job_id)
        )
        return sorted(islice(fitting, limit), key=_time_of, reverse=True)

    def _newest_first(self, *, repeats: bool) -> Iterator[_Noted]:
        told: set[tuple[str, str]] = set()
        for noted in reversed(self._backlog):
            kind, job_id = noted[1], noted[2]
            if kind in _TOLD_OFTEN and not repeats:
                if (kind, job_id) in told:
                    continue
                told.add((kind, job_id))
            yield noted

    def totals(self) -> Mapping[str, int]:
        """How many events of each kind there were since the start."""
        return dict(self._totals)

    @property
    def last_seq(self) -> int:
        """The number of the last event."""
        return self._last_seq

    def newest(self, seq: int) -> Iterator[Event]:
        """The events after number `seq`, as far as they are kept, the newest first."""
        return islice(reversed(self._backlog), max(self._last_seq - seq, 0))

    @asynccontextmanager
    async def subscribe(
        self, last_seq: int | None = None, fits: Callable[[Event], bool] | None = None
    ) -> AsyncIterator[Subscription]:
        """Follow the events after `last_seq` as far as they are kept; None: from now on.

        With `fits` only those that do. Raises Unavailable where `max_streams` are open already.
        """
        with self.place():
            yield Subscription(self, self._position(last_seq), fits)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A stream is open meanwhile; raises Unavailable where `max_streams` are already."""
        if self._streams >= self._max_streams:
            raise Unavailable(
                f"{self._max_streams} event streams are open already", retry_after_seconds=5.0
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def _position(self, last_seq: int | None) -> int:
        if last_seq is None:
            return self._last_seq
        # After a resize there may be fewer than the ring has room for.
        kept_from = self._last_seq - min(self._size, len(self._backlog))
        return min(max(last_seq, kept_from), self._last_seq)

    async def after(
        self, seq: int, fits: Callable[[Event], bool] | None = None
    ) -> tuple[int, Sequence[Numbered]]:
        """The events after number `seq` that fit, when there is any, and the last one's number.

        Raises Lagged if some of them are gone, RingClosed if none will come.
        """
        while seq >= self._last_seq:
            if self._closed:
                raise RingClosed
            self._awaited = True
            await self._news.wait()
        behind = self._last_seq - seq
        if behind > len(self._backlog):
            raise Lagged
        news = islice(self._backlog, len(self._backlog) - behind, None)
        return self._last_seq, [
            Numbered(number, event_of(noted))
            for number, noted in enumerate(news, seq + 1)
            if fits is None or fits(noted)
        ]

    def _wake(self) -> None:
        self._awaited = False
        self._news.set()
        self._news = trio.Event()


class Subscription:
    """One reader's place in the ring; iterate over it, or take what there is in batches."""

    def __init__(
        self, ring: EventRing, seq: int, fits: Callable[[Event], bool] | None = None
    ) -> None:
        self._ring = ring
        self._seq = seq
        self._fits = fits

    async def batch(self) -> Sequence[Numbered]:
        """What has come since the last call, at least one event; raises Lagged, RingClosed."""
        while True:
            self._seq, events = await self._ring.after(self._seq, self._fits)
            if events:
                return events
            await trio.sleep(LOOK_SECONDS)

    async def __aiter__(self) -> AsyncIterator[Numbered]:
        """Every event one by one; raises Lagged, RingClosed."""
        while True:
            for numbered in await self.batch():
                yield numbered


def _noted(now: float, kind: EventKind, job: Job, worker_id: str | None, message: str) -> _Noted:
    worker_id = worker_id or job.worker_id
    return (now, kind, job.id, job.type, worker_id, message, job.run, job.attempts)


def _time_of(event: EventRecord) -> float:
    return event.time


def event_of(noted: _Noted) -> EventRecord:
    """An event as people are shown it."""
    time, kind, job_id, job_type, worker_id, message, run, attempt = noted
    return EventRecord(
        time=time,
        job_id=job_id,
        job_type=job_type,
        kind=kind,
        worker_id=worker_id,
        message=message,
        run=run,
        attempt=attempt,
    )
