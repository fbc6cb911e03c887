"""What goes on right now, in a few kilobytes, however much it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import hermesd
from hermesd.api.ages import Ages
from hermesd.api.events import event_of
from hermesd.api.present import event_view, rfc3339
from hermesd.api.state import ApiState
from hermesd.api.views import EventView, View
from hermesd.core.amqp_names import band_of
from hermesd.core.events import EventKind, sums_of
from hermesd.core.job import Rung
from hermesd.core.points import BANDS, STEP_SECONDS
from hermesd.core.words import Event
from hermesd.ports import FleetView

RATE_SECONDS: Final = STEP_SECONDS  # what a rate is over, as in a step of the charts
MOST_CHANGED: Final = 50
MOST_NOTABLE: Final = 20
_FLEET: Final = frozenset(
    {
        *(EventKind.REGISTERED, EventKind.DEREGISTERED, EventKind.EVICTED, EventKind.DRAINED),
        *(EventKind.UNROUTED, EventKind.DRAINING, EventKind.PAUSED, EventKind.RESUMED),
    }
)
_QUEUES: Final = frozenset({EventKind.QUEUE_PAUSED, EventKind.QUEUE_RESUMED})
NOTABLE: Final = (
    _FLEET
    | _QUEUES
    | {
        *(EventKind.FAILED, EventKind.RETRY, EventKind.ERROR, EventKind.QUARANTINED),
        *(EventKind.DISPATCH_FAILED, EventKind.UNSTORABLE, EventKind.TAKEN_BACK),
    }
)


class SummaryView(View, frozen=True, kw_only=True):
    """One summary; in the `seconds` since the one before there were so many `events`.

    `rates` are per second, of about the last five seconds. `changed` has the last event of each of
    the jobs that had one, `notable` what people should know of, both the newest first; what did not
    fit is counted in `..._left_out`. `changes` are numbers that rise when a list is to be read
    again. `jobs` and `workers` are those of `GET /stats`; `waiting` is by band of priority.
    """

    number: int
    time: str
    api: str
    boot: str
    version: str
    uptime_seconds: float
    seconds: float
    jobs: dict[str, int]
    waiting: dict[str, float]
    workers: dict[str, int]
    rung: Rung
    rung_reason: str
    rates: dict[str, float]
    events: int
    changed: Sequence[EventView]
    changed_left_out: int
    notable: Sequence[EventView]
    notable_left_out: int
    changes: dict[str, int]


class Sources(NamedTuple):
    """Where the figures come from beside the state; each answers from memory.

    `broker_fault` says why the broker takes no messages, empty where it does or there is none.
    """

    fleet: FleetView
    ages: Ages
    broker_fault: Callable[[], str]
    types_version: Callable[[], int]


class Summarist:
    """Makes one summary after the other; what happened is in the first one that is made then."""

    def __init__(self, state: ApiState, sources: Sources):
        self._state = state
        self._sources = sources
        self._started_at = state.clock.monotonic()
        self.forget()

    def forget(self) -> None:
        """What was until now is no news."""
        now = self._state.clock.monotonic()
        self._made_at = now
        self._seq = self._state.ring.last_seq
        self._samples = deque([(now, self._sums())])

    @property
    def news(self) -> bool:
        """Whether anything happened since the last summary."""
        return self._state.ring.last_seq != self._seq

    def make(self, number: int) -> SummaryView:
        """The next one."""
        state, now = self._state, self._state.clock.monotonic()
        seconds, self._made_at = now - self._made_at, now
        events = state.ring.last_seq - self._seq
        changed, notable, left_out = _sorted_out(state.ring.newest(self._seq))
        self._seq = state.ring.last_seq
        counts = state.tally.counts()
        return SummaryView(
            number=number,
            time=rfc3339(state.clock.utc()),
            api=state.name,
            boot=state.boot,
            version=hermesd.__version__,
            uptime_seconds=round(now - self._started_at, 3),
            seconds=round(seconds, 3),
            jobs={str(one): jobs for one, jobs in counts.states.items()},
            waiting=self._waiting(),
            workers=dict(self._sources.fleet.totals()),
            rung=state.queue.rung,
            rung_reason=self._sources.broker_fault(),
            rates=self._rates(now),
            events=events,
            changed=changed,
            changed_left_out=max(events - len(changed), 0),
            notable=notable,
            notable_left_out=left_out,
            changes=self._changes(),
        )

    def _waiting(self) -> dict[str, float]:
        depths: dict[str, float] = {"total": 0, **dict.fromkeys(BANDS, 0)}
        for (_, _, priority), jobs in self._state.tally.counts().waiting.items():
            depths["total"] += jobs
            depths[band_of(priority)] += jobs
        return depths | {"oldest_seconds": round(self._sources.ages.oldest(), 3)}

    def _rates(self, now: float) -> dict[str, float]:
        while len(self._samples) > 1 and now - self._samples[1][0] >= RATE_SECONDS:
            self._samples.popleft()
        begun, before = self._samples[0]
        sums = self._sums()
        self._samples.append((now, sums))
        seconds = max(now - begun, 0.001)
        return {name: round((number - before[name]) / seconds, 2) for name, number in sums.items()}

    def _sums(self) -> dict[str, int]:
        metrics, totals = self._state.metrics, self._state.ring.totals()
        submitted = metrics.accepted + metrics.accepted_elsewhere
        started = totals.get(EventKind.DIRECT, 0)
        return {"submitted": submitted, "started": started, **sums_of(totals)}

    def _changes(self) -> dict[str, int]:
        totals = self._state.ring.totals()
        return {
            "fleet": sum(totals.get(kind, 0) for kind in _FLEET),
            "queues": sum(totals.get(kind, 0) for kind in _QUEUES),
            "types": self._sources.types_version(),
        }


def _sorted_out(newest: Iterable[Event]) -> tuple[list[EventView], list[EventView], int]:
    """The last event of each job, what is notable, and how much of that is left out."""
    changed: dict[str, EventView] = {}
    notable: list[EventView] = []
    left_out = 0
    for event in newest:
        kind, job_id = event[1], event[2]
        if job_id and len(changed) < MOST_CHANGED and job_id not in changed:
            changed[job_id] = event_view(event_of(event))
        if kind in NOTABLE:
            if len(notable) < MOST_NOTABLE:
                notable.append(event_view(event_of(event)))
            else:
                left_out += 1
    return list(changed.values()), notable, left_out
