"""Bodies that say which jobs an order in bulk means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from hermesd.api.bulk import Bulk, Done, Order
from hermesd.api.openapi import DOC, Doc
from hermesd.api.routes.access import HttpRequest, services_of
from hermesd.api.routes.bodies import decode_body, read_body
from hermesd.api.routes.query import GroupText, Moment, Needle, Query, label_pair, read_query, utc
from hermesd.api.views import View
from hermesd.core.errors import InvalidValue, MalformedJson, StoreUnavailable
from hermesd.core.records import JobFilter
from hermesd.core.states import State

T = TypeVar("T")

Some = str | list[str] | None


class DlqFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed jobs; the members are those of the listing's query, one value or several."""

    type: Some = None
    queue: Some = None
    priority: int | list[int] | None = None
    label: Some = None
    worker: str | None = None
    after: Moment | None = None
    before: Moment | None = None
    finished_after: Moment | None = None
    finished_before: Moment | None = None
    text: Needle | None = None
    error_kind: str | None = None
    error: GroupText | None = None

    def wanted(self) -> JobFilter:
        """What the store is asked for."""
        return JobFilter(
            types=_several(self.type),
            queues=_several(self.queue),
            priorities=_several(self.priority),
            worker_id=self.worker,
            labels=tuple(label_pair(text) for text in _several(self.label)),
            created_after=utc(self.after),
            created_before=utc(self.before),
            finished_after=utc(self.finished_after),
            finished_before=utc(self.finished_before),
            text=self.text,
            error_kind=self.error_kind,
            error=self.error,
        )


class BulkFilter(DlqFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs: by state beside."""

    state: State | list[State] | None = None

    def wanted(self) -> JobFilter:
        """What the store is asked for."""
        return replace(super().wanted(), states=_several(self.state))


class DlqOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `ids`, `filter` and `all`; `dry_run` only counts, `cursor` goes on."""

    ids: list[str] | None = None
    filter: DlqFilter | None = None
    all: bool = False
    dry_run: bool = False
    cursor: str | None = None

    def order(self) -> Order:
        """What is meant; raises InvalidValue where that is not clear."""
        if (self.ids is not None) + (self.filter is not None) + self.all != 1:
            raise InvalidValue('say which jobs by exactly one of "ids", "filter" and "all": true')
        wanted = self.filter.wanted() if self.filter else JobFilter()
        if self.filter and wanted == JobFilter():
            raise InvalidValue('the filter is empty; say {"all": true} to mean every such job')
        return Order(
            ids=None if self.ids is None else tuple(self.ids),
            wanted=wanted,
            dry_run=self.dry_run,
            cursor=self.cursor,
        )


class BulkOrder(DlqOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `ids`, `filter` and `all`; `dry_run` only counts, `cursor` goes on."""

    filter: BulkFilter | None = None


def order_doc(summary: str, body: type[DlqOrder], view: type[View]) -> dict[str, Doc]:
    """What is said of a route for such orders."""
    faults = (MalformedJson, InvalidValue, StoreUnavailable)
    return {DOC: Doc(summary=summary, query=Query, body=body, answers={200: view}, errors=faults)}


async def carried_out(
    request: HttpRequest,
    shape: type[DlqOrder],
    name: str,
    order: Callable[[Bulk, Order], Awaitable[Done]],
) -> Done:
    """What became of the part of an order that a request's body gives; in the log by its name."""
    read_query(request.scope["query_string"], Query)
    body = await read_body(request.receive)  # type: ignore[arg-type]  # Litestar's own TypedDicts
    services = services_of(request)
    done = await order(services.bulk, decode_body(msgspec.json.Decoder(shape), body).order())
    if done.changed:
        more = done.cursor is not None
        services.log.info("order in bulk", order=name, changed=done.changed, more=more)
    return done


def _several(value: T | Sequence[T] | None) -> tuple[T, ...]:
    """Raises InvalidValue for an empty list: it would mean all, where its maker meant none."""
    if value is None:
        return ()
    if isinstance(value, list):
        if not value:
            raise InvalidValue("a member of the filter is an empty list; leave it out to mean any")
        return tuple(value)
    return (value,)  # type: ignore[return-value]  # no other sequence comes out of JSON
