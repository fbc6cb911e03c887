"""Orders to many jobs at once: each is sent again and again, until the api says that it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from hermesd.client.calls import Call, Filters
from hermesd.client.dead import Changed, Part, Purged, Requeued
from hermesd.client.encoding import json_body, moment
from hermesd.core.errors import InvalidValue

PartT = TypeVar("PartT", bound=Part)

PATIENCE_SECONDS: Final = 15.0  # for one part, which takes the api some 5 seconds
HELD_BACK_SECONDS: Final = 1.0  # before the next part, where the queue has no room for more
HELD_BACK_PARTS: Final = 60  # in a row with nothing done, after which it is given up for now

# The call for a part, given the cursor of the one before.
Asking = Callable[[str | None], Call[PartT]]


class Selection(Filters, total=False):
    """Which dead jobs: `ids`, or all that fit the other members, or `everything`."""

    ids: Sequence[str]
    everything: bool


class JobSelection(Selection, total=False):
    """Which jobs; by state beside."""

    state: str | Sequence[str]


def retry_jobs(selection: JobSelection, *, dry_run: bool) -> Asking[Changed]:
    """POST /jobs/retry."""
    return _parts("/jobs/retry", Changed, selection, dry_run)


def cancel_jobs(selection: JobSelection, *, dry_run: bool) -> Asking[Changed]:
    """POST /jobs/cancel."""
    return _parts("/jobs/cancel", Changed, selection, dry_run)


def dlq_requeue(selection: Selection, *, dry_run: bool) -> Asking[Requeued]:
    """POST /dlq/requeue."""
    return _parts("/dlq/requeue", Requeued, selection, dry_run)


def dlq_purge(selection: Selection, *, dry_run: bool) -> Asking[Purged]:
    """POST /dlq/purge."""
    return _parts("/dlq/purge", Purged, selection, dry_run)


class Progress(Generic[PartT]):
    """The parts of one order: their sum, and whether it is worth going on."""

    def __init__(self, on_part: Callable[[PartT], None] | None) -> None:
        self.total: PartT | None = None
        self._on_part = on_part
        self._in_vain = 0

    def take(self, part: PartT) -> float | None:
        """One more; how many seconds to wait for the next, None: that was all, or all for now."""
        self.total = added(self.total, part)
        if self._on_part:
            self._on_part(self.total)
        self._in_vain = self._in_vain + 1 if part.held_back and not part.matched else 0
        if part.cursor is None or self._in_vain >= HELD_BACK_PARTS:
            return None
        return HELD_BACK_SECONDS if part.held_back else 0.0


def added(total: PartT | None, part: PartT) -> PartT:
    """The sum of the parts so far; it goes on where the last one does."""
    if total is None:
        return part
    sums = {
        name: value + getattr(total, name)
        for name, value in msgspec.structs.asdict(part).items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    return msgspec.structs.replace(part, **sums)


def _parts(path: str, answer: type[PartT], selection: Selection, dry_run: bool) -> Asking[PartT]:
    body = _body(selection)
    return partial(_part, path, answer, {**body, "dry_run": True} if dry_run else body)


def _part(
    path: str, answer: type[PartT], body: Mapping[str, Any], cursor: str | None
) -> Call[PartT]:
    """Not repeatable unless dry: jobs may have failed anew, or the sums would not be right."""
    return Call(
        method="POST",
        path=path,
        answer=answer,
        body=json_body(body if cursor is None else {**body, "cursor": cursor}),
        patience_seconds=PATIENCE_SECONDS,
        repeatable=bool(body.get("dry_run")),
    )


def _body(selection: Selection) -> dict[str, Any]:
    """Raises InvalidValue unless it says which jobs, one way, and where a choice is empty."""
    criteria = {name: _plain(value) for name, value in selection.items() if value is not None}
    if empty := sorted(name for name, value in criteria.items() if value == []):
        raise InvalidValue(f"{empty[0]} is empty, and would mean all; leave it out to mean any")
    ids, everything = criteria.pop("ids", None), bool(criteria.pop("everything", False))
    if bool(ids) + bool(criteria) + everything != 1:
        raise InvalidValue("say which jobs: by ids, by a filter, or all; exactly one of them")
    if everything:
        return {"all": True}
    return {"ids": ids} if ids else {"filter": criteria}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return [f"{key}:{wanted}" for key, wanted in value.items()]
    if isinstance(value, datetime):
        return moment(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
