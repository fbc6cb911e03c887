"""Does what the words of other apis ask for, which makes quicker what would happen anyway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hermesd.api.cancels import Cancels
from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.core.events import EventKind
from hermesd.core.points import Point
from hermesd.core.words import (
    Cancelled,
    Due,
    Events,
    FarOrder,
    FarOrderDone,
    Heard,
    Here,
    Missed,
    Moved,
    Queues,
    Schedules,
    Stepped,
    Word,
    Work,
)
from hermesd.signal import Signal

# What ends a run, and what changes the fleet.
ENDS: Final = frozenset(
    {EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED, EventKind.QUARANTINED}
)
FLEET: Final = frozenset({EventKind.REGISTERED, EventKind.DEREGISTERED, EventKind.EVICTED})


@dataclass(frozen=True, kw_only=True)
class Hearers:
    """Who is told of what: `due` gets a UTC second, the others look again at the store."""

    work: Signal
    fleet: Signal
    due: Callable[[float], None]
    recount: Callable[[], None]
    schedules: Callable[[], None]
    stepped: Callable[[Point], None]
    queues: Callable[[], None]
    greet: Callable[[], None]
    ordered: Callable[[FarOrder], None]
    order_done: Callable[[FarOrderDone], None]


class Hearing:
    """The agent that listens to the bus."""

    def __init__(self, state: ApiState, ledger: Ledger, cancels: Cancels, hearers: Hearers):
        self._state = state
        self._ledger = ledger
        self._cancels = cancels
        self._hearers = hearers

    async def run(self) -> None:
        """Listen for ever."""
        async for heard in self._state.bus.words():
            self.apply(heard)

    def apply(self, heard: Heard) -> None:
        """Do what the words of one letter ask for."""
        leaving = any(isinstance(word, Here) and word.leaving for word in heard.words)
        if heard.api and not leaving:
            self._meet(heard.api, heard.boot)
        for word in heard.words:
            self._apply(word, heard.api)
        if leaving:
            self._state.neighbours.left(heard.api)
            self._state.log.info("api has left", api=heard.api)

    def _meet(self, name: str, boot: str) -> None:
        if self._state.neighbours.heard(name, boot, self._state.clock.monotonic()):
            self._state.log.info("api heard of", api=name)
            self._hearers.greet()
            # What it told before was not heard here, nor its last words in an earlier life.
            self._hearers.recount()
            self._hearers.fleet.set()

    def _apply(self, word: Word, api: str) -> None:
        match word:
            case Here() if not word.leaving:
                if self._state.neighbours.said_of_broker(api, publishes=word.broker):
                    self._state.log.info("api said of its broker", api=api, publishes=word.broker)
            case Moved():
                self._moved(word)
            case Work():
                self._work(word)
            case Due():
                self._hearers.due(word.at)
            case Cancelled():
                self._cancels.heard(word.job_ids)
            case Events():
                self._events(word, api)
            case Schedules():
                self._hearers.schedules()
            case Queues():
                self._hearers.queues()
            case Stepped():
                self._hearers.stepped(word.point)
            case FarOrder():
                self._hearers.ordered(word)
            case FarOrderDone():
                self._hearers.order_done(word)
            case Missed():
                self._missed()

    def _moved(self, word: Moved) -> None:
        state = self._state
        state.tally.heard(word.states, word.waiting)
        state.metrics.accepted_elsewhere += word.accepted
        for queue, job_type, priority, number in word.waiting:
            if number > 0:
                state.ahead.hidden((queue, job_type, priority))

    def _work(self, word: Work) -> None:
        """Look for it, and count it where it is not counted: else nobody would look."""
        state = self._state
        for place in word.places:
            state.tally.at_least_one(place)
            state.ahead.hidden(place)
        self._hearers.work.set()

    def _events(self, word: Events, api: str) -> None:
        self._state.ring.relay(word, api)
        self._ledger.ended_elsewhere(event[2] for event in word.events if event[1] in ENDS)
        if FLEET & word.kinds.keys():
            self._hearers.fleet.set()

    def _missed(self) -> None:
        """Whatever was said meanwhile is in the store."""
        self._hearers.recount()
        self._hearers.due(self._state.clock.utc())
        self._hearers.schedules()
        self._hearers.queues()
        self._hearers.fleet.set()
        self._hearers.greet()
