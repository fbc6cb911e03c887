"""What running jobs tell of themselves, as structs of `core.notes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hermesd.core.notes import (
    LEVELS,
    MAX_LINE_BYTES,
    MAX_LINES,
    MAX_NOTE_BYTES,
    JobNotes,
    LogLine,
    NoteBatch,
    Progress,
)
from hermesd.wire.fields import amount, at_most, bad, short_text
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.tokens import token_from_proto

MAX_JOBS: Final = 1_000


def notes_to_proto(batch: NoteBatch) -> pb.NoteRequest:
    """News of jobs that one incarnation runs."""
    request = pb.NoteRequest(incarnation=batch.incarnation)
    for note in batch.notes:
        message = request.notes.add(
            token=pb.Token(job_id=note.token.job_id, lease=note.token.lease),
            dropped=note.dropped,
            repeated=note.repeated,
        )
        if (told := note.progress) is not None:
            message.progress.fraction, message.progress.at = told.fraction, told.at
            message.progress.note = told.note
        for line in note.lines:
            message.lines.add(at=line.at, level=line.level, line=line.line)
    return request


def notes_from_proto(message: pb.NoteRequest) -> NoteBatch:
    """At most MAX_JOBS; a bad one is named, as `notes[3].lines[0].level` say."""
    return NoteBatch(
        incarnation=short_text(message.incarnation, "incarnation"),
        notes=tuple(
            _note_from_proto(note, f"notes[{place}]")
            for place, note in enumerate(at_most(message.notes, "notes", MAX_JOBS))
        ),
    )


def note_answers_to_proto(taken: Sequence[bool]) -> pb.NoteResponse:
    """In the order of the request."""
    return pb.NoteResponse(taken=taken)


def note_answers_from_proto(message: pb.NoteResponse) -> tuple[bool, ...]:
    """In the order of the request."""
    return tuple(message.taken)


def _note_from_proto(message: pb.JobNotes, field: str) -> JobNotes:
    lines = at_most(message.lines, f"{field}.lines", MAX_LINES)
    return JobNotes(
        token=token_from_proto(message.token, f"{field}.token"),
        progress=(
            _progress_from_proto(message.progress, f"{field}.progress")
            if message.HasField("progress")
            else None
        ),
        lines=tuple(
            _line_from_proto(line, f"{field}.lines[{place}]") for place, line in enumerate(lines)
        ),
        dropped=message.dropped,
        repeated=message.repeated,
    )


def _progress_from_proto(message: pb.Progress, field: str) -> Progress:
    if not 0.0 <= message.fraction <= 1.0:
        raise bad(f"{field}.fraction", f"must be from 0 to 1, got {message.fraction}")
    return Progress(
        fraction=message.fraction,
        note=_text(message.note, f"{field}.note", MAX_NOTE_BYTES),
        at=amount(message.at, f"{field}.at"),
    )


def _line_from_proto(message: pb.LogLine, field: str) -> LogLine:
    if message.level not in LEVELS:
        known = ", ".join(LEVELS)
        raise bad(f"{field}.level", f"must be one of {known}, got {message.level[:80]!r}")
    return LogLine(
        line=_text(message.line, f"{field}.line", MAX_LINE_BYTES),
        level=message.level,
        at=amount(message.at, f"{field}.at"),
    )


def _text(value: str, field: str, most_bytes: int) -> str:
    if len(value) > most_bytes or len(value.encode()) > most_bytes:
        raise bad(field, f"must have at most {most_bytes} bytes")
    if "\0" in value:
        raise bad(field, "must not have a NUL")
    return value
