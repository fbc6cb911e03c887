"""The worker's own HTTP port: dispatches, probes, health and metrics, as plain ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec

from hermesd.core.fleet import DispatchAnswer, DispatchBatch
from hermesd.http.asgi import Receive, Scope, Send
from hermesd.observe.instruments import render
from hermesd.worker.receive import Receiver
from hermesd.worker.state import WorkerState

JSON = b"application/json"
PROBLEM = b"application/problem+json"


class WorkerApp:
    """An ASGI application of six routes."""

    def __init__(self, state: WorkerState, receiver: Receiver):
        self._state = state
        self._receiver = receiver
        self._batches = msgspec.json.Decoder(DispatchBatch)
        self._routes: dict[tuple[str, str], Callable[[Receive, Send], Awaitable[None]]] = {
            ("POST", "/dispatch"): self._dispatch,
            ("GET", "/probe"): self._probe,
            ("GET", "/health"): self._health,
            ("GET", "/ready"): self._ready,
            ("GET", "/stats"): self._stats,
            ("GET", "/metrics"): self._metrics,
        }
        self._paths = {path for _, path in self._routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method, path = scope["method"], scope["path"]
        route = self._routes.get(("GET" if method == "HEAD" else method, path))
        if route is not None:
            await route(receive, send)
        elif path in self._paths:
            await self._problem(send, 405, f"{path} does not take {method}")
        else:
            await self._problem(send, 404, f"a worker has only {', '.join(sorted(self._paths))}")

    async def _dispatch(self, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        try:
            batch = self._batches.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            await self._problem(send, 400, f"not a dispatch: {error}")
            return
        answer = self._receiver.accept(batch)
        status = 200 if isinstance(answer, DispatchAnswer) else 409
        await self._json(send, status, answer)

    async def _probe(self, receive: Receive, send: Send) -> None:
        await self._json(send, 200, self._receiver.who())

    async def _health(self, receive: Receive, send: Send) -> None:
        state = self._state
        about = {
            "status": "ok",
            "name": "hermesd",
            "version": state.version,
            "role": "worker",
            "worker_id": state.worker_id,
            "incarnation": state.incarnation,
        }
        await self._json(send, 200, about)

    async def _ready(self, receive: Receive, send: Send) -> None:
        state = self._state
        linked = sorted(s.api_name for s in state.sessions.values() if s.live)
        ready = bool(linked) and not state.draining
        checks: dict[str, Any] = {
            "control": {"ok": bool(linked), "reason": "" if linked else "no api is reached"},
            "draining": {"ok": not state.draining, "reason": "draining" if state.draining else ""},
        }
        if state.broker is not None:  # jobs are pushed without it, so it is no condition
            status = state.broker.status
            checks["broker"] = {"ok": status.serving, "reason": status.reason}
        about = {"ready": ready, "apis": linked, "checks": checks}
        await self._json(send, 200 if ready else 503, about)

    async def _stats(self, receive: Receive, send: Send) -> None:
        state, leases = self._state, self._state.leases
        about: dict[str, Any] = {
            "worker_id": state.worker_id,
            "incarnation": state.incarnation,
            "slots": state.slots.totals,
            "free": state.slots.free(),
            "running": len(leases.running) + len(leases.unclaimed),
            "unreported": len(leases.unsettled) + len(leases.unpublished),
            "draining": state.draining,
            "paused": state.standing.paused,
            "degraded": state.degraded,
        }
        if state.broker is not None:
            about["broker"] = state.broker.status
        await self._json(send, 200, about)

    async def _metrics(self, receive: Receive, send: Send) -> None:
        if not self._state.config.metrics.enabled:
            await self._problem(send, 404, "metrics are switched off (metrics.enabled)")
            return
        content, content_type = await render(self._state.metrics.registry)
        await _respond(send, 200, content_type.encode(), content)

    async def _json(self, send: Send, status: int, content: Any) -> None:
        await _respond(send, status, JSON, msgspec.json.encode(content))

    async def _problem(self, send: Send, status: int, detail: str) -> None:
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        await _respond(send, status, PROBLEM, msgspec.json.encode(problem))


async def _body(receive: Receive) -> bytes:
    """The whole request body; the server bounds it."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def _respond(send: Send, status: int, content_type: bytes, content: bytes) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
