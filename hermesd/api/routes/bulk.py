"""Orders to many jobs at once."""

from __future__ import annotations

from typing import Final

from litestar import Response, post

from hermesd.api.bulk import Bulk
from hermesd.api.bulk_views import BulkView
from hermesd.api.routes.access import HttpRequest, answer
from hermesd.api.routes.selection import BulkOrder, carried_out, order_doc


@post(
    "/jobs/retry",
    opt=order_doc(
        "Give failed jobs a new run, or make scheduled ones due now", BulkOrder, BulkView
    ),
)
async def retry_jobs(request: HttpRequest) -> Response[BulkView]:
    """Run jobs again, or at once."""
    done = await carried_out(request, BulkOrder, "retry", Bulk.retry)
    return answer(BulkView(**done._asdict()))


@post(
    "/jobs/cancel",
    opt=order_doc("Cancel waiting jobs, and ask running ones to end", BulkOrder, BulkView),
)
async def cancel_jobs(request: HttpRequest) -> Response[BulkView]:
    """Cancel jobs."""
    done = await carried_out(request, BulkOrder, "cancel", Bulk.cancel)
    return answer(BulkView(**done._asdict()))


BULK_HANDLERS: Final = (retry_jobs, cancel_jobs)
