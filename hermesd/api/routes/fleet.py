"""Who works here, and on what: workers and job types."""

from __future__ import annotations

from typing import Final

from litestar import Response, get

from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import fleet_view
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import Query, read_query
from hermesd.api.type_views import TypeList, type_list
from hermesd.api.views import WorkerList
from hermesd.core.errors import InvalidValue


@get(
    "/workers",
    opt={
        DOC: Doc(
            summary="The workers; `elsewhere` are those that only other apis know",
            query=Query,
            answers={200: WorkerList},
            errors=(InvalidValue,),
        )
    },
)
async def list_workers(request: HttpRequest) -> Response[WorkerList]:
    """The fleet."""
    read_query(request.scope["query_string"], Query)
    return answer(fleet_view(services_of(request).fleet.entries()))


@get(
    "/types",
    opt={
        DOC: Doc(
            summary="The known job types: payload schemas, defaults, and how their jobs fare",
            query=Query,
            answers={200: TypeList},
            errors=(InvalidValue,),
        )
    },
)
async def list_types(request: HttpRequest) -> Response[TypeList]:
    """The catalogue."""
    read_query(request.scope["query_string"], Query)
    services = services_of(request)
    known, entries = services.catalogue.known(), services.fleet.entries()
    return answer(type_list(known, entries, services.counts(), services.history.recent()))


FLEET_HANDLERS: Final = (list_workers, list_types)
