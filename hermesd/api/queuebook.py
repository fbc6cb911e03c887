"""Which queues are paused: read from the store again and again, and changed by operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hermesd.api.lines import Lines
from hermesd.api.outage import Outage
from hermesd.api.state import ApiState
from hermesd.core.errors import InvalidValue, NotFound, OutcomeUnknown, Unavailable
from hermesd.core.events import EventKind
from hermesd.core.orders import MAX_REASON_CHARS, QueuePause
from hermesd.core.words import Queues as QueuesChanged
from hermesd.signal import Signal

LOOK_SECONDS: Final = 15.0  # the word of another api is quicker, and may be lost


class QueueBook:
    """Jobs of a paused queue wait: they are accepted, and neither pushed, published nor granted.

    What runs goes on. Workers are told at once which queues of the broker to leave alone.
    """

    def __init__(self, state: ApiState, lines: Lines, work: Signal):
        self.changed = Signal()
        self._state = state
        self._queues = state.queues
        self._lines = lines
        self._work = work
        self._orders = 0

    async def run(self) -> None:
        """Look now and then, and when another api says that there is something new."""
        outage = Outage(self._state.log, "cannot tell paused queues", "telling paused queues again")
        while True:
            await self.changed.wait(LOOK_SECONDS)
            try:
                await self.look()
            except (Unavailable, OutcomeUnknown) as error:
                outage.failed(error)
            else:
                outage.worked()

    def by_name(self) -> Mapping[str, bool]:
        """Whether each queue that is known is paused."""
        names = {*self._state.config.queues, *self._state.pauses.queues}
        return {name: name in self._state.pauses for name in sorted(names)}

    async def look(self) -> None:
        """Know what the store says, unless it was changed from here meanwhile."""
        orders = self._orders
        found = await self._queues.paused()
        if orders == self._orders:
            self._learn(found)
        else:
            self.changed.set()

    async def pause(self, queue: str, reason: str = "", by: str = "") -> None:
        """Start none of its jobs until it is resumed; raises NotFound for one not declared."""
        self._check_known(queue)
        if len(reason) > MAX_REASON_CHARS:
            raise InvalidValue(f"`reason` has at most {MAX_REASON_CHARS} characters")
        pause = await self._queues.pause(queue, reason=reason, by=by)
        others = [each for each in self._pauses() if each.queue != queue]
        self._ordered([*others, pause])
        self._tell(EventKind.QUEUE_PAUSED, queue, reason, by)

    async def resume(self, queue: str, reason: str = "", by: str = "") -> None:
        """Start its jobs again; one that is not paused stays as it is. Raises NotFound."""
        if queue not in self._state.pauses:
            self._check_known(queue)
        was_paused = await self._queues.resume(queue)
        self._ordered([each for each in self._pauses() if each.queue != queue])
        if was_paused:
            self._tell(EventKind.QUEUE_RESUMED, queue, reason, by)

    def _check_known(self, queue: str) -> None:
        if queue not in self._state.config.queues:
            raise undeclared(queue, self._state.config.queues)

    def _pauses(self) -> list[QueuePause]:
        known = self._state.pauses
        return [pause for queue in known.queues if (pause := known.get(queue)) is not None]

    def _ordered(self, pauses: list[QueuePause]) -> None:
        """It is committed: whatever is being read just now may be from before."""
        self._orders += 1
        self._learn(pauses)
        self._state.bus.tell(QueuesChanged())

    def _learn(self, pauses: Sequence[QueuePause]) -> None:
        if not self._state.pauses.learn(pauses):
            return
        self._state.log.info("paused queues", queues=list(self._state.pauses.queues))
        for view in self._state.registry:
            self._lines.poke(view.incarnation)
        self._work.set()

    def _tell(self, kind: EventKind, queue: str, reason: str, by: str) -> None:
        told = ", ".join(text for text in (reason, by and f"by {by}") if text)
        message = f"queue {queue}" + (f": {told}" if told else "")
        self._state.ring.publish(kind, message=message)


def undeclared(queue: str, declared: Iterable[str]) -> NotFound:
    """The error for a queue that is none of the configuration's."""
    known = sorted(declared)
    return NotFound(
        f"queue {queue[:100]!r} is not declared ([queues.NAME]); known: {', '.join(known)[:500]}",
        known=known,
    )
