"""Publishes waiting jobs that no slot is free for, and hands them over to the broker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import trio

from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.outage import Outage
from hermesd.api.readahead import ReadAhead
from hermesd.api.state import ApiState
from hermesd.config.rules import ENVELOPE_BYTES
from hermesd.core.ahead import Line, place_of
from hermesd.core.backoff import Backoff
from hermesd.core.errors import HermesError
from hermesd.core.job import Job
from hermesd.ports import Broker
from hermesd.signal import Signal

MAX_OFFER: Final = 500  # jobs in one publish and one commit; fewer than one reading has
LOOK_AGAIN_SECONDS: Final = 5.0
NEGLECTED_SECONDS: Final = 10.0  # for which another api has left the first of its share alone
RETRY: Final = Backoff(seconds=0.2, factor=2.0, max_seconds=5.0, jitter=0.3)

Pair = tuple[str, str]


class Offerer:
    """The agent of the store's outbox: a row that was not handed over is offered again.

    Of several apis each offers its share: a worker that no api answers would run a job twice that
    two of them had published.
    """

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
        # By priority, the first of the jobs that were left to others, and since when (monotonic).
        self._others: dict[int, tuple[str, float]] = {}

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
        share = _Share(self._state, self._others)
        read: set[Pair] = set()
        jobs, missing = self._choose(share, read)
        while not jobs and missing:
            await self._reading.read(missing)
            read.update(missing)
            jobs, missing = self._choose(share, read)
        if not jobs:
            return 0, 0
        return len(jobs), await self._offer(jobs)

    def _choose(self, share: _Share, read: Collection[Pair]) -> tuple[list[Job], list[Pair]]:
        """The first jobs that are for the broker, and pairs of which too little is known.

        Those pairs are of the most urgent level that has any; of all levels once some were `read`:
        no more can be known of these in this pass, as what they had may have been left to others.
        """
        levels: dict[int, list[Pair]] = {}
        for pair in list(self._state.tally.pairs()):
            for priority in self._ladder.offered(*pair):
                levels.setdefault(priority, []).append(pair)
        chosen: list[Job] = []
        missing: dict[Pair, None] = {}
        for priority in sorted(levels, reverse=True):
            lines: list[Line] = []
            for pair in levels[priority]:
                line = self._state.ahead.line((*pair, priority))
                if line is not None:
                    lines.append(line)
                if pair not in read and not self._known(line):
                    missing[pair] = None
            if not missing:
                chosen += self._oldest(lines, MAX_OFFER - len(chosen), share)
            elif not read:
                break  # what is not known goes before all that is less urgent
            if len(chosen) >= MAX_OFFER:
                break
        return chosen, list(missing)

    def _known(self, line: Line | None) -> bool:
        """Whether it is known which job of a line is for the broker next, or that none is."""
        return line is not None and (line.whole or any(map(self._publishable, line.jobs)))

    def _publishable(self, job: Job) -> bool:
        """Whether it can be published; one that was let in under wider limits waits for a push."""
        most = self._state.config.queue.max_message_bytes - ENVELOPE_BYTES
        return len(job.payload) <= most and not self._ladder.push_only(job)

    def _oldest(self, lines: Sequence[Line], most: int, share: _Share) -> list[Job]:
        """Take the oldest jobs of lines of one priority; those that can't be published stay.

        Those of other apis' shares are known here no longer.
        """
        ahead = self._state.ahead
        taken: list[tuple[float, int, Job]] = []
        kept: list[Job] = []
        for number, line in enumerate(lines):
            left = most
            while left and line.jobs:
                job = ahead.take(line)
                if not self._publishable(job):
                    kept.append(job)
                elif share.has(job):
                    kept.append(job)
                    taken.append((job.enqueued_at or 0.0, number, job))
                    left -= 1
                else:
                    line.whole = False
        taken.sort(key=lambda each: each[:2])
        fit = [job for _, _, job in taken[:most]]
        chosen = {job.id for job in fit}
        self._put_back([job for job in kept if job.id not in chosen])
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


class _Share:
    """The jobs that this api offers in one pass: its own, and old ones that others neglect.

    Others neglect theirs where the first that was met in this pass has long been the first of its
    priority; `firsts` says of each priority which one that is, and since when.
    """

    def __init__(self, state: ApiState, firsts: dict[int, tuple[str, float]]):
        self._now = state.clock.monotonic()
        self._old = state.clock.utc() - NEGLECTED_SECONDS  # what waits since then
        self._firsts = firsts
        self._met: set[int] = set()
        self._mine = state.neighbours.publishes
        self._neglected = False

    def has(self, job: Job) -> bool:
        """Whether this api offers a job that can be published."""
        if self._mine(job.id):
            return True
        if job.priority not in self._met:
            first, since = self._firsts.get(job.priority, ("", self._now))
            since = since if first == job.id else self._now
            self._firsts[job.priority] = job.id, since
            if not self._met:
                self._neglected = self._now - since >= NEGLECTED_SECONDS
            self._met.add(job.priority)
        return self._neglected and (job.enqueued_at or job.created_at) <= self._old
