"""The Notes port: news through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hermesd.core.errors import Unstorable
from hermesd.core.notes import JobNotes, KeptLine, NoteKept, Told
from hermesd.stores import note_rows
from hermesd.stores.backend import Verb
from hermesd.stores.note_rows import Execute
from hermesd.stores.questions import Reads
from hermesd.stores.writes import Writes


class StoredNotes:
    """Notes; see `ports.Notes`. `executing` makes of a reading connection an Execute."""

    def __init__(self, writes: Writes, reads: Reads, executing: Callable[[Any], Execute]) -> None:
        self._writes = writes
        self._reads = reads
        self._executing = executing

    async def write(self, news: Sequence[JobNotes]) -> Sequence[NoteKept | None]:
        """What was kept of each; news that can never be stored are dropped."""
        answers = await self._writes.answers(Verb.NOTE, news)
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, Unstorable):
                raise answer
        return [None if isinstance(one, Unstorable) else one for one in answers]

    async def told(self, job_ids: Sequence[str]) -> Mapping[str, Told]:
        """Of those that have told anything."""
        if not job_ids:
            return {}
        return await self._reads.run(
            lambda connection: note_rows.told(self._executing(connection), job_ids)
        )

    async def lines(self, job_id: str, after: int, limit: int) -> Sequence[KeptLine]:
        """Oldest first."""
        return await self._reads.run(
            lambda connection: note_rows.lines(self._executing(connection), job_id, after, limit)
        )
