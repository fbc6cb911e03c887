"""Words that are to be told: what has piled up becomes few and small letters, whatever was said."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from msgspec.structs import replace

from hermesd.core.points import NOTHING, Point
from hermesd.core.words import (
    Cancelled,
    Due,
    Event,
    Events,
    FarOrder,
    FarOrderDone,
    Here,
    Moved,
    Place,
    Queues,
    Schedules,
    Stepped,
    Word,
    Work,
    letter,
    size_of,
    written,
)

MAX_LETTER_BYTES: Final = 7900  # PostgreSQL takes less than 8000 in a NOTIFY
MOST_PLACES: Final = 2000
MOST_JOBS: Final = 5000
MOST_ORDERS: Final = 100
MOST_STEPS: Final = 3  # the youngest
MOST_EVENTS: Final = 400  # those that come on top are counted only
MAX_MESSAGE_CHARS: Final = 300  # of an event
FRAME_BYTES: Final = 80  # what a word takes beside its parts, generously


KeyT = TypeVar("KeyT")


class Outgoing:
    """The words of one api that are not told yet; bounded, so that some are left out in a flood."""

    def __init__(self, api: str, boot: str, max_bytes: int = MAX_LETTER_BYTES) -> None:
        self._api = api
        self._boot = boot
        self._max_bytes = max_bytes
        self._here: Here | None = None
        self._schedules: Schedules | None = None
        self._queues: Queues | None = None
        self._due: Due | None = None
        self._states: Counter[str] = Counter()
        self._accepted = 0
        self._waiting: Counter[Place] = Counter()
        self._work: dict[Place, None] = {}
        self._cancelled: dict[str, None] = {}
        self._orders: deque[FarOrder | FarOrderDone] = deque(maxlen=MOST_ORDERS)
        self._steps: deque[Point] = deque(maxlen=MOST_STEPS)
        self._events: deque[Event] = deque()
        self._kinds: Counter[str] = Counter()
        self._left_out = 0

    def add(self, word: Word) -> None:
        """Say it, together with what waits to be said."""
        match word:
            case Here():
                self._here = word
            case Schedules():
                self._schedules = word
            case Queues():
                self._queues = word
            case Due():
                self._due = word if self._due is None else min(self._due, word, key=_at)
            case Moved():
                self._add_moved(word)
            case Work():
                _note(self._work, word.places, MOST_PLACES)
            case Cancelled():
                _note(self._cancelled, word.job_ids, MOST_JOBS)
            case FarOrder() | FarOrderDone():
                if size_of(word) <= self._max_bytes // 2:  # else nobody answers it
                    self._orders.append(word)
            case Stepped():
                self._steps.append(word.point)
            case Events():
                self._add_events(word)

    def __bool__(self) -> bool:
        """Whether anything waits to be said."""
        return bool(
            self._here
            or self._schedules
            or self._queues
            or self._due
            or self._states
            or self._accepted
            or self._waiting
            or self._work
            or self._cancelled
            or self._orders
            or self._steps
            or self._kinds
            or self._events
            or self._left_out
        )

    def take(self) -> bytes | None:
        """The next letter, as full as it may be; None where nothing is to be said."""
        room = self._max_bytes - len(letter(self._api, self._boot, ()))
        words = [written(word) for word in self._words(room)]
        return letter(self._api, self._boot, words) if words else None

    def _words(self, room: int) -> Iterator[Word]:
        """What is more urgent goes first; what finds no room waits for the next letter."""
        for word in (self._here, self._schedules, self._queues, self._due):
            if word is not None:
                yield word
                room -= FRAME_BYTES
        self._here = self._schedules = self._queues = self._due = None
        while self._orders and size_of(self._orders[0]) <= room - self._max_bytes // 4:
            order = self._orders.popleft()
            room -= size_of(order)
            yield order
        waiting = self._take_waiting(room // 2 - 2 * FRAME_BYTES - size_of(self._states))
        if waiting or self._states or self._accepted:
            moved = Moved(
                states=dict(self._states),
                waiting=tuple((*place, number) for place, number in waiting.items()),
                accepted=self._accepted,
            )
            self._states, self._accepted = Counter(), 0
            yield moved
            room -= size_of(moved)
        if places := _taken(self._work, room // 2 - FRAME_BYTES):
            room -= sum(map(size_of, places)) + FRAME_BYTES
            yield Work(places=places)
        if ids := _taken(self._cancelled, room - FRAME_BYTES):
            room -= sum(map(size_of, ids)) + FRAME_BYTES
            yield Cancelled(job_ids=ids)
        for step in self._take_steps(room):
            room -= size_of(step)
            yield step
        if self._kinds or self._events or self._left_out:
            frame = 2 * FRAME_BYTES + size_of(self._kinds)
            if room >= frame + self._max_bytes // 8:
                yield self._take_events(room - frame)

    def _add_moved(self, word: Moved) -> None:
        _add(self._states, word.states.items())
        self._accepted += word.accepted
        changes = (((queue, kind, level), n) for queue, kind, level, n in word.waiting)
        if len(self._waiting) < MOST_PLACES:
            _add(self._waiting, changes)

    def _take_waiting(self, room: int) -> dict[Place, int]:
        taken: dict[Place, int] = {}
        for place, number in self._waiting.items():
            room -= size_of((*place, number))
            if room < 0:
                break
            taken[place] = number
        for place in taken:
            del self._waiting[place]
        return taken

    def _take_steps(self, room: int) -> list[Stepped]:
        """As many as fit; one with very many durations is told without them."""
        taken: list[Stepped] = []
        while self._steps:
            word = Stepped(point=self._steps[0])
            if size_of(word) > self._max_bytes // 4:
                word = Stepped(point=replace(self._steps[0], wait=NOTHING, run=NOTHING))
            room -= size_of(word)
            if room < 0:
                break
            self._steps.popleft()
            taken.append(word)
        return taken

    def _add_events(self, word: Events) -> None:
        self._kinds.update(word.kinds)
        self._left_out += word.left_out
        fitting = max(MOST_EVENTS - len(self._events), 0)
        self._events.extend(map(_short, word.events[:fitting]))
        self._left_out += max(len(word.events) - fitting, 0)

    def _take_events(self, room: int) -> Events:
        taken: list[Event] = []
        while self._events:
            size = size_of(self._events[0])
            if size > self._max_bytes // 4:  # it would never fit well
                self._events.popleft()
                self._left_out += 1
                continue
            room -= size
            if room < 0:
                break
            taken.append(self._events.popleft())
        told = Events(events=tuple(taken), kinds=dict(self._kinds), left_out=self._left_out)
        self._kinds, self._left_out = Counter(), 0
        return told


def _at(word: Due) -> float:
    return word.at


def _short(event: Event) -> Event:
    if len(event[5]) <= MAX_MESSAGE_CHARS:
        return event
    time, kind, job_id, job_type, worker, message, run, attempt = event
    cut = message[:MAX_MESSAGE_CHARS] + " ..."
    return (time, kind, job_id, job_type, worker, cut, run, attempt)


def _add(counter: Counter[KeyT], changes: Iterable[tuple[KeyT, int]]) -> None:
    for key, number in changes:
        counter[key] += number
        if not counter[key]:
            del counter[key]


def _note(noted: dict[KeyT, None], items: Iterable[KeyT], most: int) -> None:
    for item in items:
        if len(noted) < most:
            noted[item] = None


def _taken(noted: dict[KeyT, None], room: int) -> tuple[KeyT, ...]:
    """As many as fit, the first ones first; they are noted no longer."""
    taken = []
    for item in noted:
        room -= size_of(item)
        if room < 0:
            break
        taken.append(item)
    for item in taken:
        del noted[item]
    return tuple(taken)
