"""The dead-letter queue: failed jobs, looked at, run again or deleted in bulk."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get, post

from hermesd.api.openapi import DOC, Doc
from hermesd.api.operate import Selection
from hermesd.api.present import job_view
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.bodies import decode_body, read_body
from hermesd.api.routes.query import DlqQuery, Moment, Query, label_pair, read_query
from hermesd.api.views import JobPageView, PurgeView, RequeueView
from hermesd.core.errors import InvalidValue, MalformedJson, StoreUnavailable
from hermesd.core.records import JobFilter


class DlqFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed jobs; `label` is name:value or several, `before` on the time of creation."""

    type: str | None = None
    queue: str | None = None
    error_kind: str | None = None
    label: str | list[str] | None = None
    before: Moment | None = None

    def wanted(self) -> JobFilter:
        """What the store is asked for; raises InvalidValue for a filter that asks for nothing."""
        if self == DlqFilter():
            raise InvalidValue('the filter is empty; say {"all": true} to mean every failed job')
        labels = [self.label] if isinstance(self.label, str) else self.label or []
        return JobFilter(
            types=(self.type,) if self.type is not None else (),
            queues=(self.queue,) if self.queue is not None else (),
            error_kind=self.error_kind,
            labels=tuple(label_pair(text) for text in labels),
            created_before=self.before.timestamp() if self.before else None,
        )


class DlqOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `ids`, `filter` and `all`; `dry_run` only counts."""

    ids: list[str] | None = None
    filter: DlqFilter | None = None
    all: bool = False
    dry_run: bool = False

    def selection(self) -> Selection:
        """The jobs that are meant; raises InvalidValue where that is not clear."""
        if (self.ids is not None) + (self.filter is not None) + self.all != 1:
            raise InvalidValue('say which jobs by exactly one of "ids", "filter" and "all": true')
        if self.ids is not None:
            return Selection(ids=tuple(self.ids))
        return Selection(wanted=self.filter.wanted() if self.filter else JobFilter())


@get(
    "/dlq",
    opt={
        DOC: Doc(
            summary="List failed jobs, newest first",
            query=DlqQuery,
            answers={200: JobPageView},
            errors=(InvalidValue, StoreUnavailable),
        )
    },
)
async def list_dead(request: HttpRequest) -> Response[JobPageView]:
    """One page of failed jobs."""
    query = read_query(request.scope["query_string"], DlqQuery)
    page = await services_of(request).reader.page(query.wanted(), query.cursor, query.limit)
    jobs = [job_view(job) for job in page.jobs]
    return answer(JobPageView(jobs=jobs, next_cursor=page.next_cursor))


@post(
    "/dlq/requeue",
    opt={
        DOC: Doc(
            summary="Give failed jobs a new run",
            query=Query,
            body=DlqOrder,
            answers={200: RequeueView},
            errors=(MalformedJson, InvalidValue, StoreUnavailable),
        )
    },
)
async def requeue_dead(request: HttpRequest) -> Response[RequeueView]:
    """Run failed jobs again."""
    order = await _order(request)
    done = await services_of(request).operator.requeue(order.selection(), dry_run=order.dry_run)
    return answer(RequeueView(matched=done.matched, requeued=done.changed))


@post(
    "/dlq/purge",
    opt={
        DOC: Doc(
            summary="Delete failed jobs",
            query=Query,
            body=DlqOrder,
            answers={200: PurgeView},
            errors=(MalformedJson, InvalidValue, StoreUnavailable),
        )
    },
)
async def purge_dead(request: HttpRequest) -> Response[PurgeView]:
    """Delete failed jobs for good."""
    order = await _order(request)
    done = await services_of(request).operator.purge(order.selection(), dry_run=order.dry_run)
    return answer(PurgeView(matched=done.matched, purged=done.changed))


async def _order(request: HttpRequest) -> DlqOrder:
    read_query(request.scope["query_string"], Query)
    body = await read_body(request.receive)  # type: ignore[arg-type]  # Litestar's own TypedDicts
    return decode_body(msgspec.json.Decoder(DlqOrder), body)


DLQ_HANDLERS: Final = (list_dead, requeue_dead, purge_dead)
