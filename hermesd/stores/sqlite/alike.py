"""New jobs as JSON texts that say once what many of them share.

That halves SQLite's work (measured: 7.1 against 3.5 µs a job), and ours: only one row of each
family is made whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec

from hermesd.core.job import Job
from hermesd.stores.micros import PER_SECOND
from hermesd.stores.rows import COLUMNS, refuse_nul, row_of, text
from hermesd.stores.sqlite.statements import SHARED

FEWEST_ALIKE: Final = 4  # so many, and it pays to say once what they share
MOST_FAMILIES: Final = 16  # in one statement

Newborn = tuple[Job, int]  # with its place

_OWN: Final = ("id", "payload", "created_at", "updated_at", "enqueued_at", "started_at")
_traits: Final = attrgetter(*(name for name in Job.__struct_fields__ if name not in _OWN))
_shared: Final = itemgetter(*map(COLUMNS.index, SHARED))


def families_of(newborn: Sequence[Newborn]) -> tuple[list[Newborn], list[str]]:
    """Those that have little in common, and of all others each family as `INSERT_ALIKE` takes it.

    Raises ItemFault for a NUL in any text, or the encoder's errors.
    """
    if len(newborn) < FEWEST_ALIKE:
        return list(newborn), []
    families: list[tuple[tuple[Any, ...], list[Newborn]]] = []
    odd: list[Newborn] = []
    traits: tuple[Any, ...] | None = None
    family = odd
    for born in newborn:
        job = born[0]
        created, enqueued, started = job.created_at, job.enqueued_at, job.started_at
        own = job.updated_at != created or not (enqueued is None or enqueued == created)
        if own or not (started is None or started == created):
            odd.append(born)
            continue
        found = (enqueued is None, started is None, _traits(job))
        if found != traits:
            traits = found
            family = _family(found, families, odd)
        family.append(born)
    odd += [born for _, few in families if len(few) < FEWEST_ALIKE for born in few]
    return odd, [_encoded(*one) for one in families if len(one[1]) >= FEWEST_ALIKE]


def _family(
    traits: tuple[Any, ...],
    families: list[tuple[tuple[Any, ...], list[Newborn]]],
    odd: list[Newborn],
) -> list[Newborn]:
    for known, members in families:
        if known == traits:
            return members
    if len(families) == MOST_FAMILIES:
        return odd
    families.append((traits, []))
    return families[-1][1]


def _encoded(traits: tuple[Any, ...], members: Sequence[Newborn]) -> str:
    unqueued, unstarted, _ = traits
    whole = row_of(*members[0])
    shared = (*_shared(whole), None if unqueued else 0, None if unstarted else 0)
    own = [
        (job.id, text(job.payload), round(job.created_at * PER_SECOND), place)
        for job, place in members
    ]
    encoded = msgspec.json.encode((shared, own))
    refuse_nul(encoded, (shared, *own))
    return encoded.decode()
