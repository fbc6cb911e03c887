"""What has changed in one api and is not told to the others yet; kept only while there are any."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from hermesd.core.job import Job
from hermesd.core.states import State
from hermesd.core.words import Event, Events, Moved, Place

MOST_EVENTS: Final = 400  # the youngest of those that are told at once; the others are counted


class UntoldMoves:
    """By how many the counts have changed."""

    def __init__(self) -> None:
        self._states: Counter[State] = Counter()
        self._waiting: Counter[Place] = Counter()

    def changed(self, state: State, jobs: int) -> None:
        """So many more are in the state."""
        self._states[state] += jobs

    def waits(self, job: Job, jobs: int) -> None:
        """So many more like this one wait."""
        self._waiting[job.queue, job.type, job.priority] += jobs

    def take(self, accepted: int) -> Moved | None:
        """All of it, together with so many that were accepted; None for nothing."""
        states = {str(state): number for state, number in self._states.items() if number}
        waiting = tuple((*place, n) for place, n in self._waiting.items() if n)
        self._states.clear()
        self._waiting.clear()
        if not (states or waiting or accepted):
            return None
        return Moved(states=states, waiting=waiting, accepted=accepted)


class UntoldEvents:
    """What has happened; `news` is called whenever something has."""

    def __init__(self, news: Callable[[], None]) -> None:
        self._news = news
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._kinds: Counter[str] = Counter()
        self._number = 0

    def add(self, kind: str, events: list[Event]) -> None:
        """So many events of one kind."""
        self._events.extend(events)
        self._kinds[kind] += len(events)
        self._number += len(events)
        self._news()

    def take(self) -> Events | None:
        """All of it; None for nothing."""
        if not self._number:
            return None
        left_out = self._number - len(self._events)
        told = Events(events=tuple(self._events), kinds=dict(self._kinds), left_out=left_out)
        self._events.clear()
        self._kinds.clear()
        self._number = 0
        return told
