"""How long finished jobs are kept, and which of them go first where there are too many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from hermesd.core.records import EndedJob
from hermesd.core.states import State

# Nothing goes sooner after its end: whoever waits for a job, or looks up one whose commit was in
# doubt, still finds it.
GRACE_SECONDS: Final = 10.0
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024  # deleted in one commit (measured: about 7 ms)


class Surplus:
    """How many finished jobs are too many; failed ones go only where no others are left."""

    def __init__(self, states: Mapping[State, int], max_finished: int) -> None:
        others = max(states.get(State.SUCCEEDED, 0) + states.get(State.CANCELLED, 0), 0)
        beyond = max(others + states.get(State.FAILED, 0) - max_finished, 0) if max_finished else 0
        self.others = min(beyond, others)
        self.failed = beyond - self.others

    def __bool__(self) -> bool:
        return self.others > 0 or self.failed > 0

    def covers(self, state: State) -> bool:
        """Whether jobs of this state are among those that must go."""
        return (self.failed if state is State.FAILED else self.others) > 0

    def shrink(self, state: State) -> None:
        """One job of this state goes, for whatever reason."""
        if state is State.FAILED and self.failed:
            self.failed -= 1
        else:
            self.others = max(self.others - 1, 0)


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that a job is kept after its end, by its state; `types` says otherwise for some.

    `max_finished` is how many are kept in all; 0: no bound.
    """

    kept_seconds: Mapping[State, float]
    types: Mapping[str, Mapping[State, float]] = {}
    max_finished: int = 0

    def ages(self, surplus: Surplus) -> Mapping[State, float]:
        """By state, the seconds since its end that a job must have to be looked at."""
        return {
            state: GRACE_SECONDS if surplus.covers(state) else self._shortest(state)
            for state in self.kept_seconds
        }

    def choose(self, jobs: Iterable[EndedJob], surplus: Surplus, now: float) -> list[EndedJob]:
        """Those of `jobs`, the oldest first, that are to go; the surplus shrinks with each.

        A job goes when its time is over, or when it is old enough and must make room.
        """
        chosen = []
        for job in jobs:
            age = now - job.finished_at
            if age >= self._kept(job) or (surplus.covers(job.state) and age >= GRACE_SECONDS):
                surplus.shrink(job.state)
                chosen.append(job)
        return chosen

    def _kept(self, job: EndedJob) -> float:
        kept = self.types.get(job.type, {}).get(job.state, self.kept_seconds[job.state])
        return max(kept, GRACE_SECONDS)

    def _shortest(self, state: State) -> float:
        times = [self.kept_seconds[state]]
        times += [kept[state] for kept in self.types.values() if state in kept]
        return max(min(times), GRACE_SECONDS)


def batches(jobs: Iterable[EndedJob]) -> Iterator[tuple[State, list[str]]]:
    """The ids of `jobs` in their order, as they are to be deleted together: by state and size."""
    ids: dict[State, list[str]] = {}
    sizes: dict[State, int] = {}
    for job in jobs:
        size = sizes.get(job.state, 0) + job.size_bytes
        if size > MAX_BATCH_BYTES and ids.get(job.state):
            yield job.state, ids.pop(job.state)
            size = job.size_bytes
        ids.setdefault(job.state, []).append(job.id)
        sizes[job.state] = size
    yield from ids.items()


def first_id(at: float) -> str:
    """What sorts before the ids of all jobs created at or after `at`, in UTC seconds.

    Ids begin with the millisecond of their creation (UUIDv7, RFC 9562 section 5.7).
    """
    millis = f"{max(int(at * 1000), 0):012x}"
    return f"{millis[:8]}-{millis[8:]}"
