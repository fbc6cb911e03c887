"""The requests: bodies of the mix, made ready beforehand, since making them is not measured."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from itertools import cycle
from typing import Final, NamedTuple

import msgspec

from hermesd import __version__
from hermesd.bench.plan import Mode, Plan, Share

_PATTERN: Final = 1009  # how many picks are made beforehand; prime, so in step with nothing
_HEADERS: Final = (
    (b"User-Agent", f"hermesd-bench/{__version__}".encode()),
    (b"Content-Type", b"application/json"),
    (b"Accept", b"application/json"),
)


class Request(NamedTuple):
    """One submit, with how many jobs it holds. Sent again, it is the same to the last byte."""

    path: str
    body: bytes
    headers: Sequence[tuple[bytes, bytes]]
    jobs: int


class Bodies:
    """An endless supply of submits in the proportions of the plan, the same in every run."""

    def __init__(self, plan: Plan) -> None:
        self._batched = plan.mode is Mode.BATCH
        self._keys = plan.keys
        self._items = cycle(_picks(plan))

    def request(self, jobs: int) -> Request:
        """A submit of so many jobs; more than one only in a batch."""
        if not self._batched:
            key = ((b"Idempotency-Key", _key()),) if self._keys else ()
            return Request("/jobs", next(self._items), (*_HEADERS, *key), 1)
        items = [next(self._items) for _ in range(jobs)]
        if self._keys:
            items = [b'%s,"idempotency_key":"%s"}' % (item[:-1], _key()) for item in items]
        return Request("/jobs/batch", b'{"jobs":[%s]}' % b",".join(items), _HEADERS, jobs)


def _picks(plan: Plan) -> list[bytes]:
    """A sample of the mix; types and priorities are picked independently of each other."""
    chance = random.Random(0)
    priorities = plan.priorities or (Share(""),)
    types = chance.choices(plan.types, [each.weight for each in plan.types], k=_PATTERN)
    levels = chance.choices(priorities, [each.weight for each in priorities], k=_PATTERN)
    made: dict[tuple[str | int, str | int], bytes] = {}
    picks = []
    for job_type, level in zip(types, levels, strict=True):
        pair = (job_type.value, level.value)
        if pair not in made:
            made[pair] = _item(*pair, plan.payload)
        picks.append(made[pair])
    return picks


def _item(job_type: str | int, priority: str | int, payload: msgspec.Raw) -> bytes:
    item: dict[str, object] = {"type": job_type, "payload": payload}
    if priority != "":
        item["priority"] = priority
    return msgspec.json.encode(item)


def _key() -> bytes:
    return uuid.uuid4().hex.encode()
