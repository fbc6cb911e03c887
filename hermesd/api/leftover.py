"""Clears what is left in the broker of jobs that were taken back from it while it was away.

Workers refuse such messages, too, but no more at a time than they have slots free. Until they are
gone, what is new waits in the store and is pushed, instead of behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.outage import Outage
from hermesd.api.published import Place
from hermesd.api.state import ApiState
from hermesd.core.amqp_names import Band, band_of
from hermesd.core.errors import HermesError, InvalidValue, Unavailable
from hermesd.core.job import Job, Rung
from hermesd.core.messages import Stamp
from hermesd.core.states import State
from hermesd.ports import Delivery
from hermesd.signal import Signal

BATCH: Final = 32  # messages whose jobs are read at once
AT_ONCE: Final = 8  # gets under way
MOST_LIVE: Final = 8  # messages of waiting jobs, which go back: past that all is well behind them
RETRY_SECONDS: Final = 1.0


class Leftovers:
    """The agent that takes them off the heads of their queues when the broker is back.

    How many there are is known in this life of the api only; after it they are the workers' to
    refuse.
    """

    def __init__(self, state: ApiState, side: BrokerSide):
        self._state = state
        self._side = side
        self._left: dict[Place, int] = {}
        self._work = Signal()

    def expect(self, jobs: Iterable[Job]) -> None:
        """These, as they waited, were taken back, and their messages may be in the broker still."""
        for job in jobs:
            place = job.queue, band_of(job.priority)
            self._left[place] = self._left.get(place, 0) + 1
            self._state.published.outdated.add(place)
            self._work.set()

    async def run(self) -> None:
        """Clear whenever there is something to clear and the broker is there."""
        outage = Outage(self._state.log, "cannot clear leftovers", "clearing leftovers again")
        broker = self._side.broker
        while True:
            while self._left and broker.status.connected:
                try:
                    await self.run_once()
                except HermesError as error:
                    outage.failed(error)
                    await trio.sleep(RETRY_SECONDS)
                else:
                    outage.worked()
            if self._left:
                await broker.changed()
            else:
                await self._work.wait()

    async def run_once(self) -> None:
        """Clear what is known of, the most urgent first."""
        for place in sorted(self._left, key=lambda each: list(Band).index(each[1])):
            cleared = await self._clear(self._side.names.queue_of(*place), place)
            del self._left[place]
            self._state.published.outdated.discard(place)
            if cleared:
                self._state.log.info("leftovers cleared", queue=place[0], band=str(place[1]))

    async def _clear(self, queue: str, place: Place) -> bool:
        """True where the head of the queue had any; until none is left, or others come."""
        cleared, live = False, list[Delivery]()
        try:
            while self._left[place] > 0 and len(live) < MOST_LIVE:
                got = await self._get(queue, min(BATCH, self._left[place]))
                if not got:
                    break
                stale = await self._settle(got, live)
                self._left[place] -= stale
                cleared = cleared or stale > 0
        finally:
            await _give_back(live)
        return cleared

    async def _get(self, queue: str, most: int) -> list[Delivery]:
        """As many as there are, at most so many."""
        got: list[Delivery] = []
        errors: list[HermesError] = []

        async def get_some(number: int) -> None:
            try:
                while number and (found := await self._side.broker.get(queue)) is not None:
                    got.append(found)
                    number -= 1
            except HermesError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for each in range(AT_ONCE):
                nursery.start_soon(get_some, most // AT_ONCE + (each < most % AT_ONCE))
        if errors:
            await _give_back(got)
            raise errors[0]
        return got

    async def _settle(self, got: Sequence[Delivery], live: list[Delivery]) -> int:
        """Acknowledge those that nobody needs, and answer how many; the others join `live`."""
        stamps = [self._stamp(delivery) for delivery in got]
        jobs = await self._jobs({stamp.token.job_id for stamp in stamps if stamp is not None})
        stale = 0
        for delivery, stamp in zip(got, stamps, strict=True):
            if stamp is not None and is_leftover(stamp, jobs):
                await delivery.ack()
                stale += 1
            else:
                live.append(delivery)
        return stale

    async def _jobs(self, ids: Set[str]) -> Mapping[str, Job]:
        """Waits for the store, since the broker counts how often a message goes back."""
        while True:
            try:
                return {job.id: job for job in await self._state.reader.get_many(sorted(ids))}
            except Unavailable:
                await trio.sleep(RETRY_SECONDS)

    def _stamp(self, delivery: Delivery) -> Stamp | None:
        """Whose message it is; None where it is none of this store's jobs: a worker's to reject."""
        try:
            stamp = self._side.stamp_of(delivery.headers)
        except InvalidValue:
            return None
        return stamp if stamp.store_id == self._state.store_id else None


def is_leftover(stamp: Stamp, jobs: Mapping[str, Job]) -> bool:
    """Whether no worker could be granted the job any more for a message with this stamp."""
    job = jobs.get(stamp.token.job_id)
    if job is None or job.lease <= stamp.token.lease:
        return job is not None and job.state.terminal
    # A claim under the next lease may be repeated by whoever has the message again.
    claimed = job.state is State.RUNNING and job.rung is Rung.AMQP
    return not (claimed and job.lease == stamp.token.lease + 1)


async def _give_back(deliveries: Sequence[Delivery]) -> None:
    for delivery in deliveries:
        try:
            await delivery.requeue()
        except HermesError:
            return  # the line is lost: the broker has all of them
