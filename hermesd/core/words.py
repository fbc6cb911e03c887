"""What the apis of one store tell each other, to be quick; the store alone is the truth.

A letter carries the words of one api, as JSON of a few kilobytes. Whoever reads it leaves out the
words that it does not know, so that apis of two versions can work side by side; a letter of another
version is left out as a whole. Any of them may be lost: that costs a delay, and never a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from hermesd.core.points import Point

VERSION: Final = 1

Place = tuple[str, str, int]  # queue, type, priority
Change = tuple[str, str, int, int]  # queue, type, priority, and by how many jobs
# Time, kind, job id and type, worker, message, run, attempt.
Event = tuple[float, str, str, str, str | None, str, int, int]


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="word"):
    """The root of all words."""


class Here(Word, frozen=True, kw_only=True, tag="here"):
    """The api is there, or about to leave. `broker`: jobs that wait go to the broker."""

    leaving: bool = False
    broker: bool = False


class Moved(Word, frozen=True, kw_only=True, tag="moved"):
    """By how many the jobs by state and the waiting ones have changed, all in all.

    `accepted`: so many were submitted.
    """

    states: dict[str, int] = {}
    waiting: tuple[Change, ...] = ()
    accepted: int = 0


class Work(Word, frozen=True, kw_only=True, tag="work"):
    """Jobs wait in these places that the api cannot give to a worker now."""

    places: tuple[Place, ...]


class Due(Word, frozen=True, kw_only=True, tag="due"):
    """A job is scheduled for that UTC second, or several from then on."""

    at: float


class Cancelled(Word, frozen=True, kw_only=True, tag="cancelled"):
    """Running jobs are to be cancelled by whoever assigned them."""

    job_ids: tuple[str, ...]


class FarOrder(Word, frozen=True, kw_only=True, tag="far-order"):
    """Workers that the api has no line to are to be ordered by whoever has one.

    Of the `incarnations` those with these labels are meant. `boot` and `number` are the asking
    api's, for the answer.
    """

    kind: str
    boot: str = ""
    number: int = 0
    incarnations: tuple[str, ...] = ()
    label: dict[str, str] = {}
    reason: str = ""
    by: str = ""
    at_once: bool = False

    def to(self, boot: str, number: int, incarnations: tuple[str, ...]) -> FarOrder:
        """The same, for these workers."""
        return msgspec.structs.replace(self, boot=boot, number=number, incarnations=incarnations)


class FarOrderDone(Word, frozen=True, kw_only=True, tag="far-order-done"):
    """What became of such an order: of each worker incarnation and status, and if it confirmed."""

    boot: str
    number: int
    workers: tuple[tuple[str, str, bool], ...] = ()


class Schedules(Word, frozen=True, kw_only=True, tag="schedules"):
    """The definitions of schedules have changed."""


class Queues(Word, frozen=True, kw_only=True, tag="queues"):
    """Other queues are paused than before."""


class Stepped(Word, frozen=True, kw_only=True, tag="stepped"):
    """What the api did in a step of time."""

    point: Point


class Events(Word, frozen=True, kw_only=True, tag="events"):
    """What has happened: `kinds` counts all of it, of which `left_out` are not in `events`."""

    events: tuple[Event, ...] = ()
    kinds: dict[str, int] = {}
    left_out: int = 0


class Missed(Word, frozen=True, kw_only=True, tag="missed"):
    """Never told: the bus itself says that words of others may be lost."""


AnyWord = (
    Here
    | Moved
    | Work
    | Due
    | Cancelled
    | FarOrder
    | FarOrderDone
    | Schedules
    | Queues
    | Stepped
    | Events
)


class Heard(msgspec.Struct, frozen=True):
    """The words of one letter by the api of that name; Missed comes from no api ("")."""

    api: str
    boot: str
    words: tuple[Word, ...]


class _Letter(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    api: str
    boot: str
    words: Sequence[msgspec.Raw]


_write = msgspec.json.Encoder().encode
_letters = msgspec.json.Decoder(_Letter)
_words: msgspec.json.Decoder[AnyWord] = msgspec.json.Decoder(AnyWord)


def written(word: Word) -> msgspec.Raw:
    """A word as it stands in a letter."""
    return msgspec.Raw(_write(word))


def size_of(part: object) -> int:
    """How many bytes a part of a word takes in a letter, with what stands between two."""
    return len(_write(part)) + 1


def letter(api: str, boot: str, words: Sequence[msgspec.Raw]) -> bytes:
    """The words of one api, to be sent."""
    return _write(_Letter(version=VERSION, api=api, boot=boot, words=words))


def read(text: bytes | str) -> Heard | None:
    """What a letter says; None where it is none, or of another version."""
    try:
        found = _letters.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if found.version != VERSION:
        return None
    words = (_read_word(raw) for raw in found.words)
    return Heard(found.api, found.boot, tuple(word for word in words if word is not None))


def _read_word(raw: msgspec.Raw) -> Word | None:
    try:
        return _words.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
