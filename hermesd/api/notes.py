"""What running jobs tell: stored, and told on to whoever follows the events."""

from __future__ import annotations

from typing import Final

from hermesd.api.state import ApiState
from hermesd.core.events import EventKind
from hermesd.core.notes import JobNotes, NoteBatch, NoteKept

SHOWN_CHARACTERS: Final = 200  # of a line in an event; the log has the whole


class NoteTaker:
    """Takes notes; the state and lease of a job are never touched."""

    def __init__(self, state: ApiState):
        self._state = state

    async def take(self, batch: NoteBatch, worker_id: str | None) -> tuple[bool, ...]:
        """Whether each was of a valid lease; StoreUnavailable where they have to come again."""
        kept = await self._state.notes.write(batch.notes)
        for note, one in zip(batch.notes, kept, strict=True):
            if one is not None:
                self._tell(note, one, worker_id)
        return tuple(one is not None for one in kept)

    def _tell(self, note: JobNotes, kept: NoteKept, worker_id: str | None) -> None:
        """One event for the progress and one for all lines: a worker tells twice a second."""
        if (progress := note.progress) is not None:
            text = f"{progress.fraction:.0%} {progress.note}".rstrip()
            self._publish(EventKind.PROGRESS, text, note, kept, worker_id)
        if kept.lines:
            text = note.lines[-1].line[:SHOWN_CHARACTERS]
            more = f" (and {kept.lines - 1} before)" if kept.lines > 1 else ""
            self._publish(EventKind.LOGGED, text + more, note, kept, worker_id)

    def _publish(
        self, kind: EventKind, message: str, note: JobNotes, kept: NoteKept, worker_id: str | None
    ) -> None:
        self._state.ring.publish(
            kind,
            job_id=note.token.job_id,
            job_type=kept.job_type,
            worker_id=worker_id,
            message=message,
            run=kept.run,
            attempt=kept.attempt,
        )
