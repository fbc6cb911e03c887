"""The dead-letter queue: failed jobs, looked at, run again or deleted in bulk."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post

from hermesd.api.bulk import Bulk
from hermesd.api.bulk_views import ErrorGroupList, PurgeView, RequeueView
from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import groups_view, job_view, page_view
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import DlqQuery, GroupQuery, read_query
from hermesd.api.routes.selection import DlqOrder, carried_out, order_doc
from hermesd.api.views import JobPageView
from hermesd.core.errors import InvalidValue, StoreUnavailable


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
    return answer(page_view(page, [job_view(job) for job in page.jobs]))


@get(
    "/dlq/groups",
    opt={
        DOC: Doc(
            summary="The failed jobs by type and error, most jobs first",
            query=GroupQuery,
            answers={200: ErrorGroupList},
            errors=(InvalidValue, StoreUnavailable),
        )
    },
)
async def list_groups(request: HttpRequest) -> Response[ErrorGroupList]:
    """What the dead letters have in common."""
    query = read_query(request.scope["query_string"], GroupQuery)
    found = await services_of(request).reader.error_groups(query.wanted())
    return answer(groups_view(found, query.limit))


@post("/dlq/requeue", opt=order_doc("Give failed jobs a new run", DlqOrder, RequeueView))
async def requeue_dead(request: HttpRequest) -> Response[RequeueView]:
    """Run failed jobs again."""
    done = await carried_out(request, DlqOrder, "requeue", Bulk.requeue)
    view = RequeueView(
        matched=done.matched,
        requeued=done.changed,
        skipped=done.skipped,
        cursor=done.cursor,
        held_back=done.held_back,
    )
    return answer(view)


@post("/dlq/purge", opt=order_doc("Delete failed jobs", DlqOrder, PurgeView))
async def purge_dead(request: HttpRequest) -> Response[PurgeView]:
    """Delete failed jobs for good."""
    done = await carried_out(request, DlqOrder, "purge", Bulk.purge)
    view = PurgeView(
        matched=done.matched, purged=done.changed, skipped=done.skipped, cursor=done.cursor
    )
    return answer(view)


DLQ_HANDLERS: Final = (list_dead, list_groups, requeue_dead, purge_dead)
