"""The HTTP API as one ASGI app: checks that concern every request, the hot routes, Litestar."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, cast

from litestar import Litestar, Response
from litestar.datastructures import ResponseHeader, State
from litestar.routes import HTTPRoute

from hermesd.api.problems import Answer, listed, problem_answer
from hermesd.api.routes.access import SERVICES, HttpRequest
from hermesd.api.routes.bulk import BULK_HANDLERS
from hermesd.api.routes.dlq import DLQ_HANDLERS
from hermesd.api.routes.events import EVENT_HANDLERS
from hermesd.api.routes.fleet import FLEET_HANDLERS
from hermesd.api.routes.history import HISTORY_HANDLERS
from hermesd.api.routes.jobs import JOB_HANDLERS
from hermesd.api.routes.orders import ORDER_HANDLERS
from hermesd.api.routes.pages import PAGE_HANDLERS, PAGES, read_pages
from hermesd.api.routes.queues import QUEUE_HANDLERS
from hermesd.api.routes.schedules import SCHEDULE_HANDLERS
from hermesd.api.routes.service import SERVICE_HANDLERS
from hermesd.api.routes.submit import SubmitRoutes, submit_handlers
from hermesd.api.routes.submit_headers import READ_HEADERS
from hermesd.api.services import ApiServices
from hermesd.core.errors import ForeignOrigin
from hermesd.http.asgi import App, Headers, Message, Receive, Scope, Send
from hermesd.http.prompt import Take

_JUDGED: Final = frozenset({b"origin", b"sec-fetch-site"})  # see check_origin
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1, without TRACE


def build_app(services: ApiServices) -> Front:
    """The ASGI app of one api; it has no lifespan, since everything it uses is handed in."""
    submits = SubmitRoutes(services)
    litestar = _build_litestar(services, submits)
    return Front(services, submits, litestar)


class Front:
    """Refuses foreign origins, calls the hot routes directly, and serves HEAD as GET."""

    def __init__(self, services: ApiServices, submits: SubmitRoutes, rest: Litestar) -> None:
        self._services = services
        self._submits = submits
        self._hot = {"/jobs": submits.one, "/jobs/batch": submits.batch}
        self._methods = _Methods(rest)
        self._rest = cast(App, cast(Any, rest))  # Litestar types scopes as its own TypedDicts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; only the http scope is served."""
        if scope["type"] != "http":
            raise RuntimeError(f"the api serves no {scope['type']} scope")
        method = scope["method"]
        if method not in _SAFE:
            try:
                check_origin(scope["headers"], self._services.config.api.allowed_origins)
            except ForeignOrigin as error:
                return await _send(send, problem_answer(error, self._services.log))
            hot = self._hot.get(scope["path"]) if method == "POST" else None
            return await (hot or self._rest)(scope, receive, send)
        if method == "HEAD":
            return await self._rest({**scope, "method": "GET"}, receive, _Bodiless(send))
        if method == "OPTIONS" and (allow := self._methods.of(scope["path"])):
            headers = [(b"allow", allow), (b"cache-control", b"no-store")]
            return await _send(send, Answer(204, headers, b""))
        return await self._rest(scope, receive, send)

    def prompt(self, method: str, target: bytes, headers: Headers) -> Take | None:
        """See http/prompt.py: lone submits of programs, whose origin nobody has to look at."""
        if method != "POST" or target != b"/jobs" or self._services.tracing is not None:
            return None
        if any(name in _JUDGED or name in READ_HEADERS for name, _ in headers):
            return None
        return self._submits.take


class _Methods:
    """The methods of each path; Litestar's own OPTIONS names those of one of its handlers only."""

    def __init__(self, app: Litestar) -> None:
        found: dict[str, set[str]] = {}
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                found.setdefault(route.path_format, set()).update(route.methods)
        # Paths without parameters come first, as they do in routing.
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), listed(found[path]).encode("ascii"))
            for path in sorted(found, key=lambda path: path.count("{"))
        ]

    def of(self, path: str) -> bytes:
        """What Allow says of `path`, empty where there is nothing."""
        trimmed = path.rstrip("/") or "/"
        return next((allow for known, allow in self._paths if known.fullmatch(trimmed)), b"")


class _Bodiless:
    """A `send` that keeps the head of a response and drops its body (RFC 9110 9.3.2)."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False

    async def __call__(self, message: Message) -> None:
        """ASGI send; a streamed response is over for the client with its head."""
        if message["type"] != "http.response.body":
            return await self._send(message)
        if not self._ended:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})
            return None
        return None


def check_origin(headers: Headers, allowed: Collection[str]) -> None:
    """Raise ForeignOrigin where a browser sends a change of state from another origin.

    An origin is ours if it is the request's own Host, or if the configuration allows it; a request
    that names none is refused if the browser calls it cross-site (Fetch Metadata).
    """
    origin: bytes | None = None
    host = site = b""
    for name, value in headers:
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
        elif name == b"sec-fetch-site":
            site = value
    if origin is None and site != b"cross-site":
        return
    named = (origin or b"").decode("latin-1").lower()
    if origin is not None and named in allowed:
        return
    own = named.partition("://")[2] == host.decode("latin-1").lower() != ""
    if not own or site == b"cross-site":
        raise ForeignOrigin(
            f"requests from {named[:200] or 'another site'} may not change anything"
        )


def _build_litestar(services: ApiServices, submits: SubmitRoutes) -> Litestar:
    def tell(_: HttpRequest, error: Exception) -> Response[bytes]:
        told = problem_answer(error, services.log)
        headers = {name.decode(): value.decode() for name, value in told.headers}
        return Response(
            told.body,
            status_code=told.status,
            media_type=headers.pop("content-type"),
            headers=headers,
        )

    return Litestar(
        [
            *submit_handlers(submits.one, submits.batch),
            *JOB_HANDLERS,
            *BULK_HANDLERS,
            *DLQ_HANDLERS,
            *SCHEDULE_HANDLERS,
            *FLEET_HANDLERS,
            *ORDER_HANDLERS,
            *QUEUE_HANDLERS,
            *EVENT_HANDLERS,
            *SERVICE_HANDLERS,
            *HISTORY_HANDLERS,
            *PAGE_HANDLERS,
        ],
        state=State({SERVICES: services, PAGES: read_pages()}),
        exception_handlers={Exception: tell},
        response_headers=[
            ResponseHeader(name="cache-control", value="no-store"),
            ResponseHeader(name="x-content-type-options", value="nosniff"),
        ],
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


async def _send(send: Send, answer: Answer) -> None:
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
