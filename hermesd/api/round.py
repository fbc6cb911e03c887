"""Jobs placed with workers for one commit."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from hermesd.api.ladder import Ladder
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.ahead import Line
from hermesd.core.job import Job
from hermesd.core.workerview import Held, WorkerView

Pair = tuple[str, str]  # queue, type


class Round:
    """Jobs placed with workers for one commit: those of the highest priority, the oldest first.

    `pairs` are the (queue, type) pairs in which jobs wait and a slot is free, less paused queues.
    `short`: of what it took from, less is left than half of such a round, and more is in the store.
    """

    def __init__(self, state: ApiState, router: Router, ladder: Ladder, most: int):
        self.placed: list[tuple[Job, Reservation]] = []
        self.short = False
        self._state = state
        self._router = router
        self._ladder = ladder
        self._most = most
        self._full: set[Pair] = set()
        # Where more wait than there are slots, all will be used: so the jobs go out in few batches.
        self._crowded: dict[Pair, WorkerView | None] = {}
        pairs = []
        for queue, job_type in state.tally.pairs():
            if queue in state.pauses:
                continue
            roster = state.registry.roster(job_type, queue)
            if roster.first() is not None:
                pairs.append((queue, job_type))
                waiting = sum(state.tally.priorities(queue, job_type).values())
                if waiting >= roster.free():
                    self._crowded[queue, job_type] = None
        self.pairs = tuple(pairs)

    def place(self) -> bool:
        """Slots for jobs that are known; True where it stopped for others, which go first."""
        ahead, tally = self._state.ahead, self._state.tally
        places: dict[int, list[Pair]] = {}
        for pair in self.pairs:
            for priority in tally.priorities(*pair):
                places.setdefault(priority, []).append(pair)
        for priority in sorted(places, reverse=True):
            lines: dict[Pair, Line] = {}
            for pair in places[priority]:
                if self._ladder.behind(*pair, priority):
                    continue  # those go to the broker, behind what waits there
                line = ahead.line((*pair, priority))
                if line is None:
                    return True
                lines[pair] = line
            if self._place_equals(lines):
                return True
            if len(self.placed) >= self._most:
                break
        return False

    def _place_equals(self, lines: Mapping[Pair, Line]) -> bool:
        """The same for the lines of one priority: always the oldest of all their jobs."""
        ahead = self._state.ahead
        passed: dict[Pair, list[Job]] = {pair: [] for pair in lines}
        missing, before = False, len(self.placed)
        while len(self.placed) < self._most and not missing:
            usable = [pair for pair in lines if pair not in self._full]
            waiting = sorted((_age(lines[pair]), pair) for pair in usable if lines[pair].jobs)
            missing = any(not lines[pair].jobs and not lines[pair].whole for pair in usable)
            if missing or not waiting:
                break
            until = waiting[1][0] if len(waiting) > 1 else float("inf")
            self._place_line(waiting[0][1], lines[waiting[0][1]], until, passed[waiting[0][1]])
        for pair, jobs in passed.items():
            ahead.put_back(lines[pair], jobs)
        if len(self.placed) > before and not all(line.whole for line in lines.values()):
            left = sum(len(line.jobs) for line in lines.values())
            # Not for less than was placed: where jobs go one at a time each would have its reading.
            few = min(self._most // 2, len(self.placed) - before)
            self.short = self.short or left < few
        return missing

    def _place_line(self, pair: Pair, line: Line, until: float, passed: list[Job]) -> None:
        """The jobs of a line that were queued `until` then, less suspects with nowhere to go."""
        ahead, place, placed = self._state.ahead, self._router.place, self.placed
        crowded = pair in self._crowded
        beside = self._crowded.get(pair)
        while line.jobs and _age(line) <= until and len(placed) < self._most:
            if beside is not None and self._fill(beside, line, until):
                continue
            job = ahead.take(line)
            slot = place(job, beside)
            if slot is not None:
                placed.append((job, slot))
                if crowded:
                    beside = slot.view
            elif job.suspect:
                passed.append(job)
            else:
                ahead.put_back(line, (job,))
                self._full.add(pair)
                break
        if crowded:
            self._crowded[pair] = beside

    def _fill(self, view: WorkerView, line: Line, until: float) -> int:
        """Give one worker the first of a line as `_place_line` would, but a suspect; how many.

        What holds for all of them is looked at once (measured: 2 of 4 microseconds a job).
        """
        kind = view.kind_of(line.jobs[0].type)
        if kind is None or not view.routable:
            return 0
        most = min(view.free(kind), self._most - len(self.placed))
        jobs = self._state.ahead.take_plain(line, most, until)
        self.placed += [(job, Reservation(view, Held(job, kind, inf))) for job in jobs]
        if jobs:
            view.reserve_all(kind, len(jobs), self._state.registry.next_turn())
        return len(jobs)


def _age(line: Line) -> float:
    """When the first of a line was queued, in UTC seconds."""
    return line.jobs[0].enqueued_at or 0.0
