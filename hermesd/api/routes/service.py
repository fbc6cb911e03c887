"""The api about itself: what it is, whether it works, how much it has to do, its document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from litestar import Response, get

import hermesd
from hermesd.api.openapi import DOC, Doc, build_document
from hermesd.api.recent_views import recent_view
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.pages import index_for
from hermesd.api.routes.query import Query, read_query
from hermesd.api.services import ApiServices
from hermesd.api.stats_views import StatsView, WaitingView, fleet_flow_view
from hermesd.api.submit import JobRequest
from hermesd.api.views import (
    CheckView,
    HealthView,
    ReadyView,
    ServiceView,
)
from hermesd.core.errors import HermesError, InvalidValue, NotFound
from hermesd.core.events import sums_of
from hermesd.core.records import Counts, QueueStatus
from hermesd.observe.instruments import render

NAME: Final = "hermesd"
CHECK_SECONDS: Final = 2.0
_LINKS: Final = {
    name: f"/{name}"
    for name in (
        *("jobs", "dlq", "schedules", "workers", "queues", "types", "events"),
        *("stats", "health", "ready", "metrics"),
    )
}


@get("/", opt={DOC: Doc(summary="What answers here", query=Query, answers={200: ServiceView})})
async def show_service(request: HttpRequest) -> Response[Any]:
    """Where to go on from here; people are shown the dashboard."""
    if (index := index_for(request)) is not None:
        return index
    read_query(request.scope["query_string"], Query)
    services = services_of(request)
    links = _LINKS | {"openapi": "/openapi.json"}
    view = ServiceView(name=NAME, version=hermesd.__version__, role=services.role, links=links)
    return answer(view, headers={"vary": "accept"})


@get("/health", opt={DOC: Doc(summary="The process lives", answers={200: HealthView})})
async def show_health(request: HttpRequest) -> Response[HealthView]:
    """Liveness: no look at anything else."""
    services = services_of(request)
    return answer(
        HealthView(
            status="ok",
            name=NAME,
            version=hermesd.__version__,
            role=services.role,
            api=services.api_name,
        )
    )


@get(
    "/ready",
    opt={DOC: Doc(summary="Whether jobs are taken", answers={200: ReadyView, 503: ReadyView})},
)
async def show_ready(request: HttpRequest) -> Response[ReadyView]:
    """Readiness: the store and the queue; a broker that is away is told of, and no hindrance."""
    services = services_of(request)
    checks = {"store": await _check_store(services), "queue": await _check_queue(services)}
    ready = all(check.ok for check in checks.values())
    if (known := services.broker) is not None:
        faults = {"broker": known.broker_fault(), "topology": known.topology_fault()}
        checks |= {name: CheckView(ok=not fault, reason=fault) for name, fault in faults.items()}
    return answer(ReadyView(ready=ready, checks=checks), 200 if ready else 503)


@get(
    "/stats",
    opt={
        DOC: Doc(
            summary="Counts and percentiles, from memory",
            query=Query,
            answers={200: StatsView},
            errors=(InvalidValue,),
        )
    },
)
async def show_stats(request: HttpRequest) -> Response[StatsView]:
    """How much there is to do, and was done."""
    read_query(request.scope["query_string"], Query)
    services = services_of(request)
    counts = services.counts()
    return answer(
        StatsView(
            name=NAME,
            version=hermesd.__version__,
            role=services.role,
            api=services.api_name,
            uptime_seconds=services.clock.utc() - services.started_at,
            jobs={str(state): number for state, number in counts.states.items()},
            waiting=_waiting(counts),
            workers=services.fleet.totals(),
            rung=services.queue.rung,
            rung_reason=services.broker.broker_fault() if services.broker is not None else "",
            since_start=_since_start(services),
            recent=recent_view(services.history.recent()),
            recent_fleet=fleet_flow_view(services.history.recent_fleet()),
        )
    )


@get(
    "/metrics",
    opt={DOC: Doc(summary="Prometheus metrics", answers={200: "text/plain"}, errors=(NotFound,))},
)
async def show_metrics(request: HttpRequest) -> Response[bytes]:
    """The metrics of this process."""
    services = services_of(request)
    if not services.config.metrics.enabled:
        raise NotFound("metrics are switched off (metrics.enabled)")
    text, content_type = await render(services.metrics.registry)
    # Litestar adds the charset to every text type by itself.
    return Response(text, media_type=content_type.removesuffix("; charset=utf-8"))


@get("/openapi.json", opt={DOC: Doc(summary="This document", answers={200: "application/json"})})
async def show_document(request: HttpRequest) -> Response[dict[str, object]]:
    """The OpenAPI document, with the payloads of the types known now."""
    types = services_of(request).catalogue.known()
    document = build_document(
        request.app.routes, types, version=hermesd.__version__, request_name=JobRequest.__name__
    )
    return answer(document)


async def _check_store(services: ApiServices) -> CheckView:
    reason = await _fault(services.store_check)
    return CheckView(ok=not reason, reason=reason)


async def _check_queue(services: ApiServices) -> CheckView:
    found: list[QueueStatus] = []

    async def ask() -> None:
        found.append(await services.queue.status())

    reason = await _fault(ask) or ("" if found[0].serving else found[0].reason or "not serving")
    # Without its broker the queue is the store, which is checked by itself.
    ok = not reason or services.broker is not None
    return CheckView(ok=ok, reason=reason, rung=services.queue.rung)


async def _fault(check: Callable[[], Awaitable[None]]) -> str:
    """Why `check` failed, empty where it did not."""
    with trio.move_on_after(CHECK_SECONDS):
        try:
            await check()
        except HermesError as error:
            return error.detail
        return ""
    return f"no answer within {CHECK_SECONDS:g} s"


def _waiting(counts: Counts) -> WaitingView:
    by_queue: dict[str, int] = {}
    by_priority: dict[str, int] = {}
    for (queue, _, priority), number in counts.waiting.items():
        by_queue[queue] = by_queue.get(queue, 0) + number
        by_priority[str(priority)] = by_priority.get(str(priority), 0) + number
    return WaitingView(total=sum(by_queue.values()), by_queue=by_queue, by_priority=by_priority)


def _since_start(services: ApiServices) -> dict[str, int]:
    submitted = services.metrics.accepted + services.metrics.accepted_elsewhere
    return {"submitted": submitted} | sums_of(services.ring.totals())


SERVICE_HANDLERS: Final = (
    show_service,
    show_health,
    show_ready,
    show_stats,
    show_metrics,
    show_document,
)
