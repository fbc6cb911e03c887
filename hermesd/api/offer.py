"""Publishes waiting jobs that no slot is free for, and hands them over to the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.outage import Outage
from hermesd.api.readahead import ReadAhead
from hermesd.api.state import ApiState
from hermesd.core.ahead import Line, place_of
from hermesd.core.backoff import Backoff
from hermesd.core.errors import HermesError
from hermesd.core.job import Job
from hermesd.ports import Broker
from hermesd.signal import Signal

MAX_OFFER: Final = 500  # jobs in one publish and one commit; fewer than one reading has
LOOK_AGAIN_SECONDS: Final = 5.0
RETRY: Final = Backoff(seconds=0.2, factor=2.0, max_seconds=5.0, jitter=0.3)

Pair = tuple[str, str]


class Offerer:
    """The agent of the store's outbox: a row that was not handed over is offered again."""

    def __init__(
        self,
        state: ApiState,
        broker: Broker,
        ladder: Ladder,
        reading: ReadAhead,
        ledger: Ledger,
        left: Signal,
    ):
        self._state = state
        self._broker = broker
        self._ladder = ladder
        self._reading = reading
        self._ledger = ledger
        self._left = left

    async def run(self) -> None:
        """Offer whenever the feeder has left jobs waiting; with pauses while none is taken."""
        outage = Outage(self._state.log, "cannot offer waiting jobs", "offering jobs again")
        vain = 0
        while True:
            try:
                offered, taken = await self.run_once()
            except HermesError as error:
                outage.failed(error)
                offered, taken = 1, 0
            else:
                outage.worked()
            vain = vain + 1 if offered and not taken else 0
            if vain:
                await trio.sleep(RETRY.delay_seconds(min(vain, 10), self._state.chance()))
            elif not offered:
                await self._left.wait(LOOK_AGAIN_SECONDS)

    async def run_once(self) -> tuple[int, int]:
        """One batch: how many jobs were offered, and how many of them wait at the broker now."""
        if not self._broker.status.serving:
            return 0, 0
        jobs, missing = self._choose()
        if not jobs and missing:
            await self._reading.read(missing)
            jobs, _ = self._choose()
        if not jobs:
            return 0, 0
        return len(jobs), await self._offer(jobs)

    def _choose(self) -> tuple[list[Job], list[Pair]]:
        """The first jobs that are for the broker, and pairs of which too little is known."""
        levels: dict[int, list[Pair]] = {}
        for pair in list(self._state.tally.pairs()):
            for priority in self._ladder.offered(*pair):
                levels.setdefault(priority, []).append(pair)
        chosen: list[Job] = []
        missing: list[Pair] = []
        for priority in sorted(levels, reverse=True):
            lines: list[Line] = []
            for pair in levels[priority]:
                line = self._state.ahead.line((*pair, priority))
                if line is not None:
                    lines.append(line)
                if line is None or not (line.jobs or line.whole):
                    missing.append(pair)
            if missing:
                break  # what is not known goes before all that is less urgent
            chosen += self._oldest(lines, MAX_OFFER - len(chosen))
            if len(chosen) >= MAX_OFFER:
                break
        return chosen, missing

    def _oldest(self, lines: Sequence[Line], most: int) -> list[Job]:
        """Take the oldest jobs of lines of one priority; those that are pushed only stay."""
        ahead = self._state.ahead
        taken: list[tuple[float, int, Job]] = []
        for number, line in enumerate(lines):
            for _ in range(min(most, len(line.jobs))):
                job = ahead.take(line)
                taken.append((job.enqueued_at or 0.0, number, job))
        taken.sort(key=lambda each: each[:2])
        fit = [job for _, _, job in taken if not self._ladder.push_only(job)][:most]
        chosen = {job.id for job in fit}
        self._put_back([job for _, _, job in taken if job.id not in chosen])
        return fit

    async def _offer(self, jobs: Sequence[Job]) -> int:
        state = self._state
        state.published.begin(jobs)
        try:
            answers = await state.queue.offer(jobs)
            confirmed = [job for job, taken in zip(jobs, answers, strict=True) if taken]
            handed: Sequence[bool] = ()
            if confirmed:
                handed = await state.outbox.hand_over(
                    [job.token for job in confirmed], state.clock.utc()
                )
            over = [job for job, done in zip(confirmed, handed, strict=True) if done]
            self._ledger.handed_over(over)
        except BaseException:
            state.published.end(jobs)
            state.ahead.clear()
            raise
        state.published.end(jobs)
        self._put_back([job for job, taken in zip(jobs, answers, strict=True) if not taken])
        return len(confirmed)

    def _put_back(self, jobs: Sequence[Job]) -> None:
        """They keep their places, where their lines are known."""
        lines: dict[tuple[str, str, int], list[Job]] = {}
        for job in jobs:
            lines.setdefault(place_of(job), []).append(job)
        for place, mine in lines.items():
            line = self._state.ahead.line(place)
            if line is not None:
                self._state.ahead.put_back(line, mine)
