"""The dead-letter queue's messages as rows and records, beside the store's failed jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hermesd.cli.broker_letters import DeadLetter
from hermesd.cli.screen import Screen
from hermesd.cli.tables import DEAD_COLUMNS, cut, dead_row
from hermesd.client import JobView

_COLUMNS: Final = ("where", *DEAD_COLUMNS)


def dead_of_both(screen: Screen, jobs: Iterable[JobView], letters: Iterable[DeadLetter]) -> None:
    """One row a failed job of the store, then one a message of the broker."""
    screen.table(_COLUMNS, _rows(screen, jobs, letters), nothing="no such dead jobs or messages")


def letter_record(screen: Screen, letter: DeadLetter, body: bytes) -> None:
    """Everything about one message."""
    screen.record(
        [
            ("where", letter.where),
            ("id", letter.id),
            ("job", letter.job_id or ""),
            ("lease", "" if letter.lease is None else str(letter.lease)),
            ("store", letter.store_id or ""),
            ("type", letter.type or ""),
            ("queue", letter.queue or ""),
            ("routing key", letter.routing_key or ""),
            ("died", screen.when(letter.died_at)),
            ("reason", letter.reason),
            ("size", f"{letter.size} bytes"),
            ("body", body_text(body)),
        ]
    )


def body_text(body: bytes) -> str:
    """A body, what is no UTF-8 in it as escapes."""
    return body.decode("utf-8", "backslashreplace")


def _rows(
    screen: Screen, jobs: Iterable[JobView], letters: Iterable[DeadLetter]
) -> Iterator[Sequence[str]]:
    for job in jobs:
        yield "store", *dead_row(screen, job)
    for letter in letters:
        yield (
            letter.where,
            letter.id,
            letter.type or "",
            letter.queue or "",
            "",
            screen.when(letter.died_at),
            cut(letter.reason),
        )
