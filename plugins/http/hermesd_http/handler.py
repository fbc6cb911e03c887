"""The job type `http`: one webhook call per attempt."""

from __future__ import annotations

from hermesd.handlers import JobContext, job
from hermesd_http.payload import HttpPayload, HttpResult


@job("http", kind="async")
async def call_webhook(payload: HttpPayload, ctx: JobContext) -> HttpResult:
    """Calls `payload.url` once and returns the answer if its status is an expected one.

    Raises Retry on 408, 425, 429, 5xx and where no whole answer came (so a receiver may see a call
    twice: it can tell by the Idempotency-Key), and Permanent on what another attempt cannot mend.
    """
    # Only here: a worker that calls nothing need not hold httpx.
    from hermesd_http.call import call

    return await call(payload, ctx)
