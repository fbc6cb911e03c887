"""Query strings as structs: every route names its parameters, and others are refused."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from hermesd.api.routes.bodies import fault_of
from hermesd.core.errors import InvalidValue
from hermesd.core.events import EventKind
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from hermesd.core.records import JobFilter
from hermesd.core.states import State
from hermesd.core.words import Event

Q = TypeVar("Q", bound="Query")

MAX_PAGE: Final = 500
MAX_GROUPS: Final = 100
MAX_WAIT_SECONDS: Final = 60.0
MAX_NUMBER: Final = 2**63 - 1  # what a store's integer column holds
_MAX_VALUES: Final = 1000
_LABEL: Final = re.compile(r"([^:=]+)[:=](.*)", re.DOTALL)

Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset from UTC")]
Texts = Annotated[list[str], Meta(description="repeated, or separated by commas")]
Priorities = Annotated[
    list[Annotated[int, Meta(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)]],
    Meta(description="repeated, or separated by commas"),
]
Needle = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="within the id, or the error's kind, message or traceback; ASCII in any case",
    ),
]
GroupText = Annotated[str, Meta(max_length=200, description="the error of a group of dead letters")]


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of all queries; one without members takes no parameter."""


class WaitQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a single job: how many seconds to wait for the end of its run."""

    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_SECONDS)] = 0.0


class DlqQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the dead-letter queue. `label` is name:value or name=value; all of them must fit.

    `after` and `before` are on the time of creation.
    """

    type: Texts = []
    queue: Texts = []
    priority: Priorities = []
    label: Texts = []
    id: Texts = []
    worker: str | None = None
    after: Moment | None = None
    before: Moment | None = None
    finished_after: Moment | None = None
    finished_before: Moment | None = None
    text: Needle | None = None
    error_kind: str | None = None
    error: GroupText | None = None
    cursor: str | None = None
    limit: Limit = 50

    def wanted(self) -> JobFilter:
        """What the store is asked for."""
        return JobFilter(
            states=(State.FAILED,),
            types=tuple(self.type),
            queues=tuple(self.queue),
            priorities=tuple(self.priority),
            ids=tuple(self.id),
            worker_id=self.worker,
            labels=tuple(label_pair(text) for text in self.label),
            created_after=utc(self.after),
            created_before=utc(self.before),
            finished_after=utc(self.finished_after),
            finished_before=utc(self.finished_before),
            text=self.text,
            error_kind=self.error_kind,
            error=self.error,
        )


class JobQuery(DlqQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the listing of all jobs: by state beside."""

    state: Annotated[list[State], Meta(description="repeated, or separated by commas")] = []

    def wanted(self) -> JobFilter:
        """What the store is asked for."""
        return msgspec.structs.replace(super().wanted(), states=tuple(self.state))


class GroupQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the groups of dead letters: of which jobs, and how many groups at most."""

    type: Texts = []
    queue: Texts = []
    label: Texts = []
    after: Moment | None = None
    before: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_GROUPS)] = MAX_GROUPS

    def wanted(self) -> JobFilter:
        """What the store is asked for."""
        return JobFilter(
            states=(State.FAILED,),
            types=tuple(self.type),
            queues=tuple(self.queue),
            labels=tuple(label_pair(text) for text in self.label),
            created_after=utc(self.after),
            created_before=utc(self.before),
        )


class LogQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a job's log: up to `limit` lines numbered above `after`."""

    after: Annotated[int, Meta(ge=0, le=MAX_NUMBER)] = 0
    limit: Limit = 100


class EventQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the recent events."""

    limit: Limit = 50
    kind: EventKind | None = None
    job_id: str | None = None


class StreamQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the stream of events."""

    kind: EventKind | None = None
    job_id: str | None = None

    def fits(self, event: Event) -> bool:
        """Whether an event is wanted."""
        return self.kind in (None, event[1]) and self.job_id in (None, event[2])


class Parameter(NamedTuple):
    """A query parameter as documented and read."""

    name: str
    type: Any
    repeatable: bool
    default: Any


def label_pair(text: str) -> tuple[str, str]:
    """`name:value` or `name=value`, split at whichever comes first; raises InvalidValue."""
    found = _LABEL.fullmatch(text)
    if found is None:
        raise InvalidValue(f"label {text[:80]!r} is not of the form name:value")
    return found[1], found[2]


def utc(moment: datetime | None) -> float | None:
    """UTC seconds."""
    return moment.timestamp() if moment else None


@cache
def parameters(query: type[Query]) -> dict[str, Parameter]:
    """What a query takes, by name."""
    return {
        field.encode_name: Parameter(
            field.encode_name, field.type, get_origin(_bare(field.type)) is list, field.default
        )
        for field in msgspec.structs.fields(query)
    }


def read_query(text: bytes, query: type[Q]) -> Q:
    """The query string as a `query`; raises InvalidValue with what is wrong or unknown."""
    known = parameters(query)
    values: dict[str, Any] = {}
    for name, value in _pairs(text):
        parameter = known.get(name)
        if parameter is None:
            raise InvalidValue(
                f"there is no query parameter {name[:80]!r} here; known: {_listed(known)}",
                known=sorted(known),
            )
        if parameter.repeatable:
            values.setdefault(name, []).extend(part for part in value.split(",") if part)
        elif name in values:
            raise InvalidValue(f"query parameter {name!r} is given more than once")
        else:
            values[name] = value
    try:
        return msgspec.convert(values, query, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: msgspec.ValidationError) -> InvalidValue:
    fault = fault_of(error)
    name = fault.pointer.split("/")[1] if fault.pointer else ""
    enums = {"state": State, "kind": EventKind}
    known = {"known": [str(each) for each in enums[name]]} if name in enums else {}
    also = f"; known: {', '.join(known['known'])}" if known else ""
    return InvalidValue(
        f"query parameter {name!r}: {fault.reason}{also}", errors=[fault._asdict()], **known
    )


def _pairs(text: bytes) -> list[tuple[str, str]]:
    if not text:
        return []
    try:
        return parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_VALUES,
        )
    except ValueError as error:
        raise InvalidValue(f"the query string cannot be read: {error}") from error


def _listed(known: dict[str, Parameter]) -> str:
    return ", ".join(sorted(known)) or "none"


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
