"""Orders to workers: pause, resume and drain them, and what a drain would come to."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get, post

from hermesd.api.openapi import DOC, Doc
from hermesd.api.order_views import (
    DrainBody,
    ForecastView,
    OrderAnswer,
    OrderBody,
    WorkersBody,
    command_of,
    forecast_view,
    order_answer,
)
from hermesd.api.ordering import Chosen
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.bodies import decode_body, read_body, read_optional
from hermesd.api.routes.query import Query, read_query
from hermesd.core.errors import Conflict, InvalidValue, MalformedJson, NotFound, StoreUnavailable
from hermesd.core.orders import OrderKind

_FAULTS: Final = (MalformedJson, NotFound, Conflict, InvalidValue, StoreUnavailable)


def _doc(summary: str, body: type[OrderBody]) -> dict[str, Doc]:
    answers: dict[int, type[OrderAnswer]] = {200: OrderAnswer}
    return {DOC: Doc(summary=summary, query=Query, body=body, answers=answers, errors=_FAULTS)}


@post(
    "/workers/{worker_id:str}/pause",
    status_code=200,
    opt=_doc(
        "Let a worker (by its id or incarnation) take no new jobs; what it runs goes on", OrderBody
    ),
)
async def pause_worker(request: HttpRequest) -> Response[OrderAnswer]:
    """Until it is resumed, or started again."""
    return await _order_one(request, OrderKind.PAUSE, OrderBody)


@post(
    "/workers/{worker_id:str}/resume",
    status_code=200,
    opt=_doc("Let a paused worker take jobs again", OrderBody),
)
async def resume_worker(request: HttpRequest) -> Response[OrderAnswer]:
    """From now on."""
    return await _order_one(request, OrderKind.RESUME, OrderBody)


@post(
    "/workers/{worker_id:str}/drain",
    status_code=200,
    opt=_doc("Let a worker end its jobs and its process, as SIGTERM does", DrainBody),
)
async def drain_worker(request: HttpRequest) -> Response[OrderAnswer]:
    """There is no way back."""
    return await _order_one(request, OrderKind.DRAIN, DrainBody)


@post(
    "/workers/pause",
    status_code=200,
    opt=_doc("Let workers take no new jobs: by ids, by label and machine, or all", WorkersBody),
)
async def pause_workers(request: HttpRequest) -> Response[OrderAnswer]:
    """Of the whole fleet."""
    return await _order_many(request, OrderKind.PAUSE)


@post(
    "/workers/resume",
    status_code=200,
    opt=_doc("Let paused workers take jobs again", WorkersBody),
)
async def resume_workers(request: HttpRequest) -> Response[OrderAnswer]:
    """Of the whole fleet."""
    return await _order_many(request, OrderKind.RESUME)


@post(
    "/workers/drain",
    status_code=200,
    opt=_doc("Let workers end their jobs and their processes", WorkersBody),
)
async def drain_workers(request: HttpRequest) -> Response[OrderAnswer]:
    """Of the whole fleet."""
    return await _order_many(request, OrderKind.DRAIN)


@get(
    "/workers/{worker_id:str}/forecast",
    opt={
        DOC: Doc(
            summary="What a drain of a worker would come to: which jobs end, which are handed on",
            query=Query,
            answers={200: ForecastView},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def forecast_drain(request: HttpRequest) -> Response[ForecastView]:
    """Of a drain that begins now."""
    read_query(request.scope["query_string"], Query)
    services = services_of(request)
    worker = services.ordering.find(_id(request))
    return answer(forecast_view(worker, await services.forecaster.of(worker.incarnation)))


def _id(request: HttpRequest) -> str:
    worker_id: str = request.path_params["worker_id"]
    return worker_id


async def _order_one(
    request: HttpRequest, kind: OrderKind, shape: type[OrderBody]
) -> Response[OrderAnswer]:
    read_query(request.scope["query_string"], Query)
    body = await read_optional(request.receive, shape)  # type: ignore[arg-type]  # as elsewhere
    ordering = services_of(request).ordering
    return answer(
        order_answer(await ordering.give(Chosen(ids=(_id(request),)), command_of(kind, body)))
    )


async def _order_many(request: HttpRequest, kind: OrderKind) -> Response[OrderAnswer]:
    read_query(request.scope["query_string"], Query)
    read = await read_body(request.receive)  # type: ignore[arg-type]  # Litestar's own TypedDicts
    body = decode_body(msgspec.json.Decoder(WorkersBody), read)
    ordering = services_of(request).ordering
    return answer(order_answer(await ordering.give(body.chosen, command_of(kind, body))))


ORDER_HANDLERS: Final = (
    pause_worker,
    resume_worker,
    drain_worker,
    pause_workers,
    resume_workers,
    drain_workers,
    forecast_drain,
)
