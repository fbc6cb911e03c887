"""POST /jobs and POST /jobs/batch: the hot path, as bare ASGI.

Litestar's handling of a request costs 10 to 30 µs (measured with hermesd/http and a submitter
that answers at once: 20,400 requests/s against 14,900), a good part of what a whole job costs, so
the app calls these directly; they are registered with Litestar all the same, for the table of
routes and the document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import batch_view, submit_view
from hermesd.api.problems import Answer, item_problem, known_error, problem_answer
from hermesd.api.routes.bodies import decode_body, fault_of, read_body
from hermesd.api.routes.submit_headers import READ_HEADERS, keys_of, trace_of, with_key
from hermesd.api.services import ApiServices
from hermesd.api.submit import JobRequest, SubmitAnswer
from hermesd.api.views import BatchView, SubmitView
from hermesd.core.errors import (
    HermesError,
    IdempotencyConflict,
    InvalidBatch,
    InvalidPayload,
    InvalidValue,
    MalformedJson,
    OutcomeUnknown,
    QueueFull,
    Rejected,
    StoreUnavailable,
    TooLarge,
    UnknownQueue,
    UnknownType,
)
from hermesd.http.asgi import App, Headers, Receive, Scope, Send
from hermesd.http.prompt import Reply
from hermesd.http.responses import problem
from hermesd.observe.tracing import Tracing

MAX_ITEM_ERRORS: Final = 100
_JSON: Final = (b"content-type", b"application/json")
_NO_STORE: Final = (b"cache-control", b"no-store")

# From a body, those of its headers that are read, and the trace that its jobs are to belong to.
Make = Callable[[bytes, Headers, str | None], Awaitable[Answer]]


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs to be stored together or not at all."""

    jobs: list[JobRequest]


class _RawBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch whose items are not read yet."""

    jobs: list[msgspec.Raw]


class SubmitRoutes:
    """The ASGI callables `one` and `batch` over one api's services."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._encode = msgspec.json.Encoder().encode
        self._one_decoder = msgspec.json.Decoder(JobRequest)
        self._batch_decoder = msgspec.json.Decoder(BatchRequest)
        self._raw_decoder = msgspec.json.Decoder(_RawBatch)
        self.one: App = partial(self._serve, self._submit_one, "one")
        self.batch: App = partial(self._serve, self._submit_batch, "batch")

    async def _serve(
        self, make: Make, kind: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer with what `make` makes of body and headers, or with the problem it raised."""
        services = self._services
        begun = services.clock.monotonic()
        tracing = services.tracing
        try:
            body = await read_body(receive)
            headers = [field for field in scope["headers"] if field[0] in READ_HEADERS]
            context = trace_of(headers) if headers else None
            if tracing is None:
                answer = await make(body, headers, context)
            else:
                answer = await self._traced(tracing, make, scope["path"], body, headers, context)
        except Exception as error:
            answer = self._refused(error)
        services.metrics.submit_answered(services.clock.monotonic() - begun, kind)
        start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})

    def take(self, body: bytes, reply: Reply) -> bool:
        """Take (http/prompt.py) of `one`, for requests with none of READ_HEADERS."""
        begun = self._services.clock.monotonic()
        answer = partial(self._reply, begun, reply)
        try:
            request = decode_body(self._one_decoder, body)
            return self._services.submitter.begin(request, answer)
        except Exception as error:
            answer(error)
            return True

    def _reply(self, begun: float, reply: Reply, submitted: SubmitAnswer | Exception) -> None:
        services = self._services
        try:
            if isinstance(submitted, Exception):
                raise submitted
            answer = self._answer_one(submitted)
        except Exception as error:
            answer = self._refused_surely(error)
        services.metrics.submit_answered(services.clock.monotonic() - begun, "one")
        reply(*answer)

    def _refused(self, error: Exception) -> Answer:
        known = known_error(error)
        self._services.metrics.refused(known.slug if known else HermesError.slug)
        return problem_answer(error, self._services.log)

    def _refused_surely(self, error: Exception) -> Answer:
        """The same where nobody above could answer any more if it failed."""
        try:
            return self._refused(error)
        except Exception:
            return Answer(500, *problem(500, "the request could not be served"))

    async def _traced(
        self,
        tracing: Tracing,
        make: Make,
        path: str,
        body: bytes,
        headers: Headers,
        context: str | None,
    ) -> Answer:
        """The same in a span of its own, which the jobs' own spans are under."""
        with tracing.request(f"POST {path}", context) as request:
            try:
                answer = await make(body, headers, request.context)
            except Exception as error:
                known = known_error(error)
                request.answered(known.http_status if known else HermesError.http_status)
                raise
            request.answered(answer.status)
            return answer

    async def _submit_one(self, body: bytes, headers: Headers, trace_context: str | None) -> Answer:
        request = decode_body(self._one_decoder, body)
        if headers:
            request = with_key(request, headers)
        [submitted] = await self._services.submitter.submit([request], trace_context=trace_context)
        return self._answer_one(submitted)

    def _answer_one(self, submitted: SubmitAnswer) -> Answer:
        job = submitted.job
        self._services.metrics.submitted(job.type, job.queue, _result(submitted))
        return Answer(
            200 if submitted.repeated else 202,
            [_JSON, _NO_STORE, (b"location", b"/jobs/" + job.id.encode())],
            self._encode(submit_view(submitted)),
        )

    async def _submit_batch(
        self, body: bytes, headers: Headers, trace_context: str | None
    ) -> Answer:
        if keys_of(headers):
            raise InvalidValue(
                "a batch takes an idempotency_key for each of its jobs, not the Idempotency-Key "
                "header"
            )
        requests = self._read_batch(body)
        try:
            submitted = await self._services.submitter.submit(requests, trace_context=trace_context)
        except InvalidBatch:
            raise
        except Rejected as error:
            if len(requests) > 1:
                raise
            raise _refuse_batch([item_problem(0, error)], 1) from error
        self._count(submitted)
        return Answer(202, [_JSON, _NO_STORE], self._encode(batch_view(submitted)))

    def _read_batch(self, body: bytes) -> list[JobRequest]:
        """The items; raises TooLarge, InvalidBatch with the items at fault, or as decode_body."""
        most = self._services.config.api.max_batch_items
        # Reading items costs memory many times their text, so they are counted first if in doubt.
        if body.count(b"{") > most:
            self._check_size(len(decode_body(self._raw_decoder, body).jobs), most)
        try:
            requests = decode_body(self._batch_decoder, body).jobs
        except InvalidValue as error:
            items = decode_body(self._raw_decoder, body).jobs
            errors = self._item_errors(items)
            if not errors:
                raise
            raise _refuse_batch(errors, len(items)) from error
        self._check_size(len(requests), most)
        return requests

    def _check_size(self, items: int, most: int) -> None:
        if items > most:
            raise TooLarge(f"the batch has {items} jobs, at most {most} are allowed")
        if items == 0:
            raise InvalidValue("the batch has no jobs")

    def _item_errors(self, items: Sequence[msgspec.Raw]) -> list[dict[str, Any]]:
        errors: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            try:
                self._one_decoder.decode(item)
            except msgspec.ValidationError as error:
                fault = fault_of(error)
                refusal = InvalidValue(fault.reason, errors=[fault._asdict()])
                errors.append(item_problem(index, refusal))
                if len(errors) >= MAX_ITEM_ERRORS:
                    break
        return errors

    def _count(self, submitted: Sequence[SubmitAnswer]) -> None:
        """Once for those of a batch that are alike, which are mostly all of them."""
        numbers: dict[tuple[str, str, str], int] = {}
        for each in submitted:
            job = each.job
            alike = (job.type, job.queue, "repeated" if each.repeated else each.routed)
            numbers[alike] = numbers.get(alike, 0) + 1
        for (job_type, queue, result), jobs in numbers.items():
            self._services.metrics.submitted(job_type, queue, result, jobs)


def _result(answer: SubmitAnswer) -> str:
    return "repeated" if answer.repeated else answer.routed


def _refuse_batch(errors: list[dict[str, Any]], items: int) -> InvalidBatch:
    return InvalidBatch(
        f"{len(errors)} of {items} jobs are at fault; none was stored", errors=errors
    )


_ERRORS: Final = (
    MalformedJson,
    InvalidValue,
    UnknownQueue,
    UnknownType,
    TooLarge,
    QueueFull,
    StoreUnavailable,
    OutcomeUnknown,
)


def submit_handlers(one: App, batch: App) -> list[HTTPRouteHandler]:
    """The two callables as Litestar handlers."""

    @post(
        "/jobs",
        opt={
            DOC: Doc(
                summary="Submit a job; the answer means that it is recorded durably",
                body=JobRequest,
                answers={202: SubmitView, 200: SubmitView},
                headers={
                    "Idempotency-Key": "the same as idempotency_key in the body",
                    "traceparent": "the trace that the job belongs to (W3C Trace Context)",
                },
                errors=(*_ERRORS, InvalidPayload, IdempotencyConflict),
            )
        },
    )
    async def submit() -> ASGIApp:
        return one  # type: ignore[return-value]  # Litestar types scopes as its own TypedDicts

    @post(
        "/jobs/batch",
        opt={
            DOC: Doc(
                summary="Submit jobs all or none",
                body=BatchRequest,
                answers={202: BatchView},
                errors=(*_ERRORS, InvalidBatch),
            )
        },
    )
    async def submit_batch() -> ASGIApp:
        return batch  # type: ignore[return-value]  # as above

    return [submit, submit_batch]
