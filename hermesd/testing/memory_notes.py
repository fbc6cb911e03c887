"""What jobs tell of themselves, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import msgspec
import trio

from hermesd.core.job import Job, Token
from hermesd.core.notes import MAX_LINES, JobNotes, KeptLine, NoteKept, Progress, Told
from hermesd.core.states import State
from hermesd.stores.micros import whole
from hermesd.testing.memory_contents import Contents


class MemoryNotes:
    """Notes; see `ports.Notes`. A progress counts for as long as its job is there."""

    def __init__(self, contents: Contents) -> None:
        self._held = contents
        self._numbers = count(1)
        self._progress: dict[str, tuple[Token, Progress]] = {}
        self._dropped: dict[str, int] = {}

    async def write(self, news: Sequence[JobNotes]) -> Sequence[NoteKept | None]:
        """What was kept of each."""
        await trio.lowlevel.checkpoint()
        return [self._write(note) for note in news]

    def _write(self, note: JobNotes) -> NoteKept | None:
        job = self._held.jobs.get(note.token.job_id)
        if job is None or job.state is not State.RUNNING or job.token != note.token:
            return None
        if self._has_nul(note):
            return None
        if (told := note.progress) is not None:
            told = msgspec.structs.replace(told, at=whole(told.at))
            self._progress[job.id] = (note.token, told)
        lines = self._held.lines.setdefault(job.id, [])
        fresh = [line for line in self._rows(job, note) if not self._is_known(line, note)]
        room = MAX_LINES - sum(line.run == job.run for line in lines)
        taken = fresh[: max(room, 0)]
        lines += [msgspec.structs.replace(line, number=next(self._numbers)) for line in taken]
        dropped = note.dropped + len(fresh) - len(taken)
        self._dropped[job.id] = self._dropped.get(job.id, 0) + dropped
        return NoteKept(job_type=job.type, run=job.run, attempt=job.attempts, lines=len(taken))

    async def told(self, job_ids: Sequence[str]) -> Mapping[str, Told]:
        """Of those that have told anything."""
        await trio.lowlevel.checkpoint()
        found: dict[str, Told] = {}
        for job_id in job_ids:
            job, dropped = self._held.jobs.get(job_id), self._dropped.get(job_id, 0)
            token, progress = self._progress.get(job_id, (None, None))
            if job is not None and (progress is not None or dropped):
                valid = progress if token == job.token else None
                found[job_id] = Told(progress=valid, logs_dropped=dropped)
        return found

    async def lines(self, job_id: str, after: int, limit: int) -> Sequence[KeptLine]:
        """Oldest first."""
        await trio.lowlevel.checkpoint()
        return [line for line in self._held.lines.get(job_id, []) if line.number > after][:limit]

    def _rows(self, job: Job, note: JobNotes) -> list[KeptLine]:
        return [
            KeptLine(
                number=0,
                at=whole(line.at),
                run=job.run,
                attempt=job.attempts,
                level=line.level,
                line=line.line,
            )
            for line in note.lines
        ]

    def _is_known(self, line: KeptLine, note: JobNotes) -> bool:
        known = self._held.lines.get(note.token.job_id, [])
        place = (line.run, line.attempt, line.at)
        return note.repeated and any((one.run, one.attempt, one.at) == place for one in known)

    def _has_nul(self, note: JobNotes) -> bool:
        """Such news are dropped by every store, since PostgreSQL has no NUL in its texts."""
        told = note.progress is not None and "\0" in note.progress.note
        return told or any("\0" in line.line for line in note.lines)
