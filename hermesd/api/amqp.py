"""The agents of the broker's rung, wired together."""

from __future__ import annotations

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.consume import Consumer
from hermesd.api.declare import TopologyKeeper
from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.leftover import Leftovers
from hermesd.api.offer import Offerer
from hermesd.api.published import EVER
from hermesd.api.pulled import PulledOutcomes
from hermesd.api.readahead import ReadAhead
from hermesd.api.record import Recorder
from hermesd.api.recovery import Recovery
from hermesd.api.returns import Returns
from hermesd.api.state import ApiState
from hermesd.api.takeback import TakeBack
from hermesd.api.unpulled import Unpulled
from hermesd.signal import Signal


class AmqpAgents:
    """What an api does with its broker."""

    def __init__(
        self,
        state: ApiState,
        side: BrokerSide,
        ladder: Ladder,
        reading: ReadAhead,
        ledger: Ledger,
        recorder: Recorder,
        left: Signal,
    ):
        self._state = state
        self._side = side
        self.keeper = TopologyKeeper(state, side)
        self.offerer = Offerer(state, side.broker, ladder, reading, ledger, left)
        self.pulled = PulledOutcomes(state, side, recorder, ledger)
        state.unrecorded.arrived = self.pulled.arrived
        self.returns = Returns(state, side, ladder, ledger)
        self.leftovers = Leftovers(state, side)
        recovery = Recovery(state, ledger)
        unpulled = Unpulled(state, ladder, recovery, self.leftovers)
        self.take_back = TakeBack(state, side, recovery, self.leftovers, unpulled)

    async def catch_up(self) -> None:
        """Before anything is given to others: the outcomes that are waiting at the broker."""
        counts = await self._state.outbox.broker_counts(EVER)
        self._state.published.reset(counts)
        await self.pulled.catch_up()
        # Nobody could be heard of meanwhile: that was not the workers' silence.
        await self._state.fleet.count_as_heard()

    async def run(self) -> None:
        """All agents, for ever."""
        broker, names = self._side.broker, self._side.names
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keeper.run)
            nursery.start_soon(self.take_back.run)
            await self.keeper.declared.wait()
            nursery.start_soon(
                Consumer(self._state, broker, names.outcomes, self.pulled.handle).run
            )
            nursery.start_soon(
                Consumer(self._state, broker, names.returned, self.returns.handle).run
            )
            nursery.start_soon(self.leftovers.run)
            nursery.start_soon(self.offerer.run)
