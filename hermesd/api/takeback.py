"""Takes jobs back to the store that wait at a broker which is away, or has lost their messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.leftover import Leftovers
from hermesd.api.outage import Outage
from hermesd.api.published import EVER, Level
from hermesd.api.recovery import Recovery
from hermesd.api.state import ApiState
from hermesd.api.unpulled import Unpulled
from hermesd.core.amqp_names import Band, band_of
from hermesd.core.errors import HermesError, Unavailable
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from hermesd.core.records import BrokerRange

TICK_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 10.0  # a message that was published so long ago is in its queue
LOOK_SECONDS: Final = 5.0
# Fewer are missing than workers may hold: they have vanished if none of them was claimed in this
# time, which is longer than a worker holds a message; or in so many times liveness.ttl_seconds.
HELD_SECONDS: Final = 60.0
HELD_TTLS: Final = 4.0
MOST: Final = 1000  # jobs in one commit
UNREACHABLE: Final = "unreachable"

Place = tuple[str, Band]


class Look(NamedTuple):
    """A (queue, band) at one moment: rows, and the messages that are ready (None: no queue)."""

    rows: int
    ready: int | None

    @property
    def missing(self) -> int:
        """Rows without a message that is ready."""
        return self.rows - (self.ready or 0)


class TakeBack:
    """The agent that looks whether what the store believes to be at the broker is there."""

    def __init__(
        self,
        state: ApiState,
        side: BrokerSide,
        recovery: Recovery,
        leftovers: Leftovers,
        unpulled: Unpulled,
    ):
        self._state = state
        self._side = side
        self._recovery = recovery
        self._leftovers = leftovers
        self._unpulled = unpulled
        self._away_since: float | None = None
        self._held_seconds = max(HELD_SECONDS, HELD_TTLS * state.config.liveness.ttl_seconds)
        self._base = 0.0  # UTC: rows published before are looked at
        self._begun = float("-inf")  # monotonic: when that was fixed
        self._looked = float("-inf")
        self._first: dict[Place, Look] = {}
        self._suspect: set[Place] = set()
        self._unmoved: set[Place] = set()

    async def run(self) -> None:
        """One tick a second, for ever."""
        outage = Outage(self._state.log, "cannot take jobs back", "taking jobs back again")
        while True:
            try:
                await self.run_once()
            except HermesError as error:
                outage.failed(error)
            else:
                outage.worked()
            await trio.sleep(TICK_SECONDS)

    async def run_once(self) -> None:
        """Look, and take back what is due."""
        now = self._state.clock.monotonic()
        if not self._side.broker.status.connected:
            self._begun = float("-inf")
            if self._away_since is None:
                self._away_since = now
            lost = now - self._away_since >= self._state.config.queue.take_back_seconds
            # Where another api reaches it, that one would publish all of them again.
            if lost and not self._state.neighbours.publish:
                await self._take_all()
            return
        self._away_since = None
        await self._unpulled.run_once()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            await self._look(now)

    async def _take_all(self) -> None:
        counts = await self._count()
        for queue in sorted({queue for queue, _ in counts}):
            await self._take(queue, LOWEST_PRIORITY, HIGHEST_PRIORITY, EVER, UNREACHABLE)

    async def _count(self) -> Mapping[Level, int]:
        """What is at the broker by the store, which is told to who counts it in memory."""
        changes = self._state.tally.changes
        mark = changes.mark()
        counts = await self._state.outbox.broker_counts(EVER)
        self._state.published.reconcile(counts, changes.since(mark))
        return counts

    async def _look(self, now: float) -> None:
        """Compare rows and messages; two looks at the same rows must agree."""
        utc = self._state.clock.utc()
        await self._count()
        if not self._state.published.total:
            self._begun = float("-inf")
            return
        if now - self._begun > self._held_seconds + 2 * LOOK_SECONDS:
            self._base, self._begun = utc - SETTLED_SECONDS, now
            self._first = await self._looks()
            self._suspect = self._outnumbering(self._first)
            self._unmoved = {place for place, look in self._first.items() if look.missing > 0}
            return
        looks = await self._looks()
        outnumbering = self._outnumbering(looks)
        vanished, self._suspect = self._suspect & outnumbering, outnumbering
        self._unmoved = {
            place
            for place in self._unmoved & looks.keys()
            if looks[place].missing > 0 and looks[place].rows == self._first[place].rows
        }
        if now - self._begun >= self._held_seconds:
            vanished |= self._unmoved
        for queue, band in vanished:
            self._state.log.warning("messages have vanished", queue=queue, band=str(band))
            self._side.misrouted.set()
            lowest, highest = _range_of(band)
            await self._take(queue, lowest, highest, self._base, "vanished")
        if vanished or not self._unmoved:
            self._begun = float("-inf")

    async def _looks(self) -> dict[Place, Look]:
        rows: dict[Place, int] = {}
        counts = await self._state.outbox.broker_counts(self._base)
        for (queue, priority), number in counts.items():
            place = queue, band_of(priority)
            rows[place] = rows.get(place, 0) + number
        return {place: Look(number, await self._ready(*place)) for place, number in rows.items()}

    async def _ready(self, queue: str, band: Band) -> int | None:
        """None where the queue is not there, or cannot be asked although the broker can."""
        try:
            facts = await self._side.broker.depth(self._side.names.queue_of(queue, band))
        except Unavailable:
            if not self._side.broker.status.connected:
                raise
            return None
        return None if facts is None else facts.messages

    def _outnumbering(self, looks: Mapping[Place, Look]) -> set[Place]:
        """Where more is missing than workers may hold unclaimed."""
        return {
            place
            for place, look in looks.items()
            if look.ready is None or look.missing > self._holdable(place[0])
        }

    def _holdable(self, queue: str) -> int:
        """Every worker that serves the queue takes as many messages as it has slots, no more."""
        return sum(
            sum(view.slots.values()) for view in self._state.registry if queue in view.queues
        )

    async def _take(
        self, queue: str, lowest: int, highest: int, before: float, reason: str
    ) -> None:
        wanted = BrokerRange(
            queue=queue, lowest=lowest, highest=highest, published_before=before, limit=MOST
        )
        while taken := await self._recovery.take(wanted, reason):
            if reason == UNREACHABLE:
                self._leftovers.expect(taken)


def _range_of(band: Band) -> tuple[int, int]:
    levels = list(_levels(band))
    return levels[0], levels[-1]


def _levels(band: Band) -> Iterator[int]:
    return (each for each in range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1) if band_of(each) is band)
