"""The named queues: how they are, and pausing them."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post

from hermesd.api.openapi import DOC, Doc
from hermesd.api.order_views import OrderBody, QueueAnswer, QueueList, queue_view
from hermesd.api.routes.access import HttpRequest, answer, name_of, services_of
from hermesd.api.routes.bodies import read_optional
from hermesd.api.routes.query import Query, read_query
from hermesd.core.errors import (
    InvalidValue,
    MalformedJson,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
)

_ORDER_FAULTS: Final = (MalformedJson, NotFound, InvalidValue, StoreUnavailable, OutcomeUnknown)


def _order(summary: str) -> dict[str, Doc]:
    return {
        DOC: Doc(
            summary=summary,
            query=Query,
            body=OrderBody,
            answers={200: QueueAnswer},
            errors=_ORDER_FAULTS,
        )
    }


@get(
    "/queues",
    opt={
        DOC: Doc(
            summary="The queues: what waits and runs, who serves them, and which are paused",
            query=Query,
            answers={200: QueueList},
            errors=(InvalidValue, StoreUnavailable),
        )
    },
)
async def list_queues(request: HttpRequest) -> Response[QueueList]:
    """All queues."""
    read_query(request.scope["query_string"], Query)
    entries = await services_of(request).queue_figures.all()
    return answer(QueueList(count=len(entries), queues=[queue_view(each) for each in entries]))


@get(
    "/queues/{name:str}",
    opt={
        DOC: Doc(
            summary="Show a queue; a scaler finds what waits at queue.waiting",
            query=Query,
            answers={200: QueueAnswer},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def show_queue(request: HttpRequest) -> Response[QueueAnswer]:
    """One queue."""
    read_query(request.scope["query_string"], Query)
    return await _shown(request)


@post(
    "/queues/{name:str}/pause",
    status_code=200,
    opt=_order("Start none of a queue's jobs until it is resumed; they are still accepted"),
)
async def pause_queue(request: HttpRequest) -> Response[QueueAnswer]:
    """What runs goes on."""
    body = await _body(request)
    await services_of(request).queues.pause(name_of(request), body.reason, body.by)
    return await _shown(request)


@post(
    "/queues/{name:str}/resume",
    status_code=200,
    opt=_order("Start the jobs of a paused queue again"),
)
async def resume_queue(request: HttpRequest) -> Response[QueueAnswer]:
    """In their order."""
    body = await _body(request)
    await services_of(request).queues.resume(name_of(request), body.reason, body.by)
    return await _shown(request, known=True)  # it may be paused, and declared no longer


async def _body(request: HttpRequest) -> OrderBody:
    read_query(request.scope["query_string"], Query)
    return await read_optional(request.receive, OrderBody)  # type: ignore[arg-type]  # as elsewhere


async def _shown(request: HttpRequest, *, known: bool = False) -> Response[QueueAnswer]:
    entry = await services_of(request).queue_figures.one(name_of(request), known=known)
    return answer(QueueAnswer(queue=queue_view(entry)))


QUEUE_HANDLERS: Final = (list_queues, show_queue, pause_queue, resume_queue)
