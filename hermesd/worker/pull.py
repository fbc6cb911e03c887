"""Pulls waiting jobs from the broker: never more than slots are free, the highest band first.

So many messages are asked for as there are slots, and not a stream of them: what a stream brings
too many has to go back, and a broker gives up on a message that went back too often.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from hermesd.core.amqp_names import Band, Names
from hermesd.core.errors import HermesError, InvalidValue
from hermesd.ports import Broker, Delivery, Messages
from hermesd.worker.claim import MAX_CLAIMS, Claimer, Pulled, settle
from hermesd.worker.state import WorkerState

BURST: Final = MAX_CLAIMS  # messages of one source at a time
BURST_BYTES: Final = 8 * 1024 * 1024
IDLE_SECONDS: Final = 0.5
KINDS_KNOWN: Final = 64
MIN_REST_SECONDS: Final = 1.0
MAX_REST_SECONDS: Final = 30.0
MAX_FAILING_REST_SECONDS: Final = 3.0
MIN_PATIENCE_SECONDS: Final = 0.02
CLOSING_SECONDS: Final = 10.0


@dataclass(slots=True, eq=False)
class Source:
    """One queue in the broker; `rest_until` is monotonic, `kinds` are those of its last messages.

    `more`: the last look brought all that was asked for, so that `kinds` and `largest`, the bytes
    of the largest message that it brought, say what is next.
    """

    name: str
    queue: str
    band: Band
    more: bool = False
    largest: int = 0
    kinds: deque[str] = field(default_factory=partial(deque[str], maxlen=KINDS_KNOWN))
    rest_until: float = 0.0
    rest_seconds: float = 0.0
    failing: bool = False

    def rest(self, now: float) -> None:
        """Leave it alone for a while, each time in a row for longer."""
        most = MAX_FAILING_REST_SECONDS if self.failing else MAX_REST_SECONDS
        self.rest_seconds = min(max(self.rest_seconds * 2, MIN_REST_SECONDS), most)
        self.rest_until = now + self.rest_seconds

    def rested(self) -> None:
        """It is well again."""
        self.rest_until = self.rest_seconds = 0.0
        self.failing = False


class Puller:
    """The agent that pulls; it is intake, so a drain ends it first."""

    def __init__(
        self, state: WorkerState, broker: Broker, messages: Messages, claimer: Claimer
    ) -> None:
        self.taken = 0  # messages that were taken and could be held, since the start
        self._state = state
        self._broker = broker
        self._messages = messages
        self._claimer = claimer
        self._turn = 0
        self._names = Names.of(state.config.queue.namespace, state.config.queue.names)
        self._bands: dict[Band, list[Source]] = {}
        self.serve(state.config.worker.queues)
        self._kinds = {str(handler.type.kind) for handler in state.catalogue.handlers.values()}
        self._scope = trio.CancelScope()
        self._closed = False
        self._ended = trio.Event()
        self._ended.set()

    def serve(self, queues: Sequence[str]) -> None:
        """Pull from these from now on; what is known of one that was served stays known."""
        known = {each.name: each for sources in self._bands.values() for each in sources}
        names = self._names.queue_of
        self._bands = {
            band: [
                known.get(names(queue, band)) or Source(names(queue, band), queue, band)
                for queue in queues
            ]
            for band in Band
        }

    async def run(self) -> None:
        """Pull and claim until `close`."""
        self._ended = trio.Event()
        try:
            while not self._closed:
                self._scope = trio.CancelScope()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._claimer.run)
                    with self._scope:
                        await self._pull()
                    self._claimer.close()
                    nursery.cancel_scope.deadline = trio.current_time() + CLOSING_SECONDS
        finally:
            self._ended.set()

    async def close(self) -> None:
        """Pull no more; a claim under way has its answer, what else is held goes back."""
        self._closed = True
        self._scope.cancel()
        await self._ended.wait()

    def restart(self) -> None:
        """Begin anew, whatever is under way."""
        self._scope.cancel()

    def hindrance(self) -> str:
        """Why nothing can be pulled now, empty where it can."""
        state = self._state
        if not self._broker.status.connected:
            return self._broker.status.reason
        if self._closed or state.draining:
            return "draining"
        if state.standing.paused:
            return "paused"
        if not state.degraded and not any(each.live for each in state.sessions.values()):
            return "no api is reached"
        if self._claimer.failing and self._claimer.waiting:
            return "no api takes a claim"
        if state.clogged:
            return "too many outcomes wait for an api"
        if not any(self._free().values()):
            return "no slot is free"
        return ""

    def awake(self) -> Iterator[Source]:
        """The sources that something can be taken from now, the highest band first."""
        free, nothing = self._free(), Counter[str]()
        return (source for source in self._in_order() if self._wanted(source, free, nothing))

    async def _pull(self) -> None:
        """Look at once after a look that found something, and when a slot is free at last.

        The more often that was in vain the longer it waits, as where pushes keep all slots busy.
        """
        patience, freed = 0.0, False
        while True:
            if not self.hindrance():
                if await self._look():
                    patience = 0.0
                    continue
                patience = min(max(patience * 2, MIN_PATIENCE_SECONDS), IDLE_SECONDS)
            if not freed:
                patience = 0.0
            await trio.sleep(patience)
            freed = await self._state.slots.freed.wait(IDLE_SECONDS - patience)

    async def _look(self) -> bool:
        """Take what the first sources have; True to look again at once.

        As many sources are asked at once as there would be slots for, if each had what is asked.
        """
        self._turn += 1
        sources, at, barred = list(self._in_order()), 0, set[str]()
        while at < len(sources):
            free, reserved = self._free(), Counter[str]()
            if any(free[kind] for kind in barred):
                return True  # the turn is of those above that lacked it
            asked: list[tuple[Source, int]] = []
            while at < len(sources):
                source = sources[at]
                wanted = self._wanted(source, free, reserved)
                if not wanted and asked and self._wanted(source, free, Counter()):
                    break  # there may be room when it is known what those before it have
                if wanted:
                    asked.append((source, wanted))
                    reserved.update(dict.fromkeys(self._kinds_of(source), wanted))
                elif source.more:
                    barred |= {kind for kind in source.kinds if not free[kind]}
                at += 1
            if asked and await self._ask(asked, barred):
                return True
        return False

    def _in_order(self) -> Iterator[Source]:
        """The highest band first; paused queues are left out."""
        paused = self._state.paused_queues
        for sources in self._bands.values():
            for i in range(len(sources)):
                source = sources[(i + self._turn) % len(sources)]
                if source.queue not in paused:
                    yield source

    def _wanted(self, source: Source, free: Mapping[str, int], reserved: Mapping[str, int]) -> int:
        """How many messages to ask for, so that each will have a slot; 0 to leave it alone.

        One that nothing is known of is asked for one message. So is now and then one whose next
        message is likely of a kind that has no slot: what is there may have changed.
        """
        resting = self._state.clock.monotonic() < source.rest_until
        if source.failing and resting:
            return 0
        left = min(free[kind] - reserved.get(kind, 0) for kind in self._kinds_of(source))
        if left > 0:
            one = self._claimer.failing or not source.more
            return 1 if one else min(left, BURST, 1 + BURST_BYTES // (source.largest + 1))
        if any(reserved.values()) or not any(free.values()):
            return 0
        if not source.more:
            return 1
        if not source.rest_seconds:
            source.rest(self._state.clock.monotonic())
            return 0
        return 0 if resting else 1

    def _kinds_of(self, source: Source) -> Set[str]:
        """The kinds that its next messages may have."""
        return set(source.kinds) if source.more and source.kinds else self._kinds

    def _free(self) -> dict[str, int]:
        """Free slots of the kinds that are of use here."""
        free = self._state.slots.free()
        return {kind: free.get(kind, 0) for kind in self._kinds}

    async def _ask(self, asked: Sequence[tuple[Source, int]], barred: set[str]) -> bool:
        """Get at once what is wanted of each source, and hold it; `barred` kinds are not held."""
        got: list[Sequence[Delivery]] = [() for _ in asked]
        try:
            async with trio.open_nursery() as nursery:
                for place, (source, wanted) in enumerate(asked):
                    nursery.start_soon(self._get, source, wanted, got, place)
        finally:
            held = 0
            with trio.CancelScope(shield=True):  # each has to be held or given back
                for (source, wanted), deliveries in zip(asked, got, strict=True):
                    source.more = len(deliveries) == wanted
                    held += await self._take(source, deliveries, barred)
        self.taken += held
        return held > 0

    async def _get(
        self, source: Source, wanted: int, got: list[Sequence[Delivery]], place: int
    ) -> None:
        try:
            if wanted == 1:
                delivery = await self._broker.get(source.name)
                got[place] = () if delivery is None else (delivery,)
            else:
                got[place] = await self._broker.take(source.name, wanted)
        except HermesError as error:
            if not source.failing and self._broker.status.connected:
                self._state.log.warning("cannot pull", queue=source.name, why=error.detail)
            source.failing = True
            source.rest(self._state.clock.monotonic())
            return
        if source.failing:
            source.rested()

    async def _take(self, source: Source, got: Sequence[Delivery], barred: set[str]) -> int:
        """Hold what there is a slot for, and answer how much; the rest goes where it can be run.

        What goes back for want of a slot bars its kind below: its turn is before theirs.
        """
        held, state = 0, self._state
        if got:
            source.largest = max(len(delivery.body) for delivery in got)
        for delivery in got:
            state.metrics.pulled(source.queue, source.band, redelivered=delivery.redelivered)
            pulled = await self._read(delivery)
            if pulled is None:
                continue
            kind = str(pulled.handler.type.kind)
            source.kinds.append(kind)
            if kind not in barred and state.slots.take(kind):
                self._claimer.take(pulled)
                held += 1
            else:
                barred.add(kind)
                state.metrics.not_run("no-slot")
                await settle(delivery.requeue)
                source.more = True
                source.rest(state.clock.monotonic())
        if held:
            source.rested()
        return held

    async def _read(self, delivery: Delivery) -> Pulled | None:
        """What it brings; None for what nobody can run here, which is rejected."""
        state, reason = self._state, "unknown-type"
        try:
            message = self._messages.decode_job(delivery.body)
            handler = state.catalogue.get(message.job.type)
            if handler is not None:
                return Pulled(delivery, message, handler, state.clock.monotonic())
        except InvalidValue as error:
            state.log.warning("not a job's message", queue=delivery.queue, why=error.detail)
            reason = "undecodable"
        state.metrics.not_run(reason)
        await settle(delivery.reject)
        return None
