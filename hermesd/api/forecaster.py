"""What a drain of a worker would come to, job by job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from hermesd.api.state import ApiState
from hermesd.core.forecast import Fate, Guess, SoFar, forecast
from hermesd.core.job import Job
from hermesd.core.notes import Told
from hermesd.core.states import State

MOST_JOBS: Final = 1000

# The seconds that most jobs of a type end within, None where none has ended.
Typical = Callable[[str], float | None]


class JobForecast(msgspec.Struct, frozen=True, kw_only=True):
    """A running job, and what is likely to become of it."""

    job: Job
    elapsed_seconds: float
    guess: Guess


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's running jobs, whichever api gave them out; `fates` counts them all."""

    drain_seconds: float
    jobs: Sequence[JobForecast]
    fates: Mapping[Fate, int]


class Forecaster:
    """Reads what runs from the store, and what it has told of itself, at whichever api.

    How long a worker takes to drain is known of those that are registered here; of others it is
    taken to be what the configuration says here. What is usual for a type is what ended here.
    """

    def __init__(self, state: ApiState, typical: Typical):
        self._state = state
        self._typical = typical

    async def of(self, incarnation: str) -> Forecast:
        """What a drain that begins now would come to; raises Unavailable."""
        state, drain_seconds = self._state, self._drain_seconds(incarnation)
        ids = list(await state.apis.held_by(incarnation))[:MOST_JOBS]
        jobs = [job for job in await state.reader.get_many(ids) if job.state is State.RUNNING]
        told = await state.notes.told(ids) if ids else {}
        now = state.clock.utc()
        forecasts = [self._job(job, told.get(job.id), now, drain_seconds) for job in jobs]
        fates = dict.fromkeys(Fate, 0)
        for each in forecasts:
            fates[each.guess.fate] += 1
        return Forecast(drain_seconds=drain_seconds, jobs=forecasts, fates=fates)

    def _drain_seconds(self, incarnation: str) -> float:
        view = self._state.registry.get(incarnation)
        told = None if view is None else view.registration.drain_seconds
        return self._state.config.drain.seconds if told is None else told

    def _job(self, job: Job, told: Told | None, now: float, drain_seconds: float) -> JobForecast:
        started = job.updated_at if job.started_at is None else job.started_at
        progress = None if told is None else told.progress
        so_far = SoFar(
            elapsed_seconds=max(now - started, 0.0),
            timeout=job.timeout,
            progress=None if progress is None else progress.fraction,
            progress_seconds=0.0 if progress is None else max(progress.at - started, 0.0),
            typical_seconds=self._typical(job.type),
        )
        return JobForecast(
            job=job, elapsed_seconds=so_far.elapsed_seconds, guess=forecast(so_far, drain_seconds)
        )
