"""Every order to workers and queues as a call, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict
from urllib.parse import quote

import msgspec

from hermesd.client.answers import Answer
from hermesd.client.calls import Call
from hermesd.client.encoding import json_body
from hermesd.core.errors import InvalidValue

# The api waits for the workers' word for a heartbeat's interval and a little more.
CONFIRM_SECONDS: Final = 60.0


class Said(TypedDict, total=False):
    """Why, and who says so: both are for people."""

    reason: str | None
    by: str | None


class Which(TypedDict, total=False):
    """Which workers, one way: by `ids`, by `label` and `machine`, or `everything`."""

    ids: Sequence[str]
    label: Mapping[str, str] | None
    machine: str | None
    everything: bool


class OrderedWorker(Answer, frozen=True, kw_only=True):
    """A worker as it is after an order; `taken`: it has confirmed it."""

    worker_id: str
    incarnation: str = ""
    status: str = ""
    taken: bool = False


class OrderAnswer(Answer, frozen=True, kw_only=True):
    """`taken`: all have confirmed; one that has not is unrouted, and hears of it when it can."""

    workers: tuple[OrderedWorker, ...]
    taken: bool = False


class JobForecast(Answer, frozen=True, kw_only=True):
    """A running job; `fate` is finishes, handed-on or unknown."""

    id: str
    type: str
    fate: str
    why: str = ""
    started_at: datetime | None = None
    elapsed_seconds: float = 0.0
    remaining_seconds: float | None = None


class DrainForecast(Answer, frozen=True, kw_only=True):
    """What a drain of a worker would come to."""

    worker_id: str
    incarnation: str = ""
    drain_seconds: float = 0.0
    finishes: int = 0
    handed_on: int = 0
    unknown: int = 0
    jobs: tuple[JobForecast, ...] = ()


class QueueView(Answer, frozen=True, kw_only=True):
    """One queue; `workers` serve it and take jobs now, with `slots` in all."""

    name: str
    declared: bool = True
    paused: bool = False
    paused_since: datetime | None = None
    paused_by: str = ""
    reason: str = ""
    waiting: int = 0
    by_priority: dict[str, int] = msgspec.field(default_factory=dict)
    at_broker: int = 0
    oldest_seconds: float | None = None
    running: int = 0
    slots: int = 0
    free: int = 0
    workers: int = 0
    rung: str = ""


class QueueAnswer(Answer, frozen=True, kw_only=True):
    """The envelope of one queue."""

    queue: QueueView


class QueueList(Answer, frozen=True, kw_only=True):
    """All queues, by name."""

    queues: tuple[QueueView, ...]
    count: int = 0


def order_worker(
    kind: str, worker_id: str, said: Said, *, at_once: bool = False
) -> Call[OrderAnswer]:
    """POST /workers/{id}/pause, /resume or /drain, by worker id or incarnation."""
    return _order(f"{_path('workers', worker_id)}/{kind}", _body(said, at_once=at_once))


def order_workers(
    kind: str, which: Which, said: Said, *, at_once: bool = False
) -> Call[OrderAnswer]:
    """POST /workers/pause, /resume or /drain."""
    body = {name: value for name, value in which.items() if value and name != "everything"}
    if which.get("everything"):
        body["all"] = True
    return _order(f"/workers/{kind}", body | _body(said, at_once=at_once))


def drain_forecast(worker_id: str) -> Call[DrainForecast]:
    """GET /workers/{id}/forecast."""
    path = _path("workers", worker_id) + "/forecast"
    return Call(method="GET", path=path, answer=DrainForecast)


def queues() -> Call[QueueList]:
    """GET /queues."""
    return Call(method="GET", path="/queues", answer=QueueList)


def queue(name: str) -> Call[QueueAnswer]:
    """GET /queues/{name}."""
    return Call(method="GET", path=_path("queues", name), answer=QueueAnswer)


def order_queue(kind: str, name: str, said: Said) -> Call[QueueAnswer]:
    """POST /queues/{name}/pause or /resume."""
    return Call(
        method="POST",
        path=f"{_path('queues', name)}/{kind}",
        answer=QueueAnswer,
        body=json_body(_body(said, at_once=False)),
    )


def _order(path: str, body: dict[str, Any]) -> Call[OrderAnswer]:
    return Call(
        method="POST",
        path=path,
        answer=OrderAnswer,
        body=json_body(body),
        patience_seconds=CONFIRM_SECONDS,
    )


def _body(said: Said, *, at_once: bool) -> dict[str, Any]:
    body: dict[str, Any] = {name: value for name, value in said.items() if value}
    return body | {"at_once": True} if at_once else body


def _path(collection: str, name: str) -> str:
    if not name or name in (".", ".."):
        raise InvalidValue(f"{name!r} names none of the {collection}")
    return f"/{collection}/{quote(name, safe='')}"
