"""Orders to many jobs at once."""

from __future__ import annotations

from typing import Final

from litestar import Response, post

from hermesd.api.openapi import DOC, Doc
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import Query
from hermesd.api.routes.selection import BulkOrder, read_order, told
from hermesd.api.views import BulkView
from hermesd.core.errors import InvalidValue, MalformedJson, StoreUnavailable


@post(
    "/jobs/retry",
    opt={
        DOC: Doc(
            summary="Give failed jobs a new run, or make scheduled ones due now",
            query=Query,
            body=BulkOrder,
            answers={200: BulkView},
            errors=(MalformedJson, InvalidValue, StoreUnavailable),
        )
    },
)
async def retry_jobs(request: HttpRequest) -> Response[BulkView]:
    """Run jobs again, or at once."""
    services = services_of(request)
    done = await services.bulk.retry(await read_order(request, BulkOrder))
    return answer(BulkView(**told(services, "retry", done)._asdict()))


@post(
    "/jobs/cancel",
    opt={
        DOC: Doc(
            summary="Cancel waiting jobs, and ask running ones to end",
            query=Query,
            body=BulkOrder,
            answers={200: BulkView},
            errors=(MalformedJson, InvalidValue, StoreUnavailable),
        )
    },
)
async def cancel_jobs(request: HttpRequest) -> Response[BulkView]:
    """Cancel jobs."""
    services = services_of(request)
    done = await services.bulk.cancel(await read_order(request, BulkOrder))
    return answer(BulkView(**told(services, "cancel", done)._asdict()))


BULK_HANDLERS: Final = (retry_jobs, cancel_jobs)
