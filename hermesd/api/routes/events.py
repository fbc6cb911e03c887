"""The recent events as a page, and as a stream (Server-Sent Events, WHATWG HTML 9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import trio
from litestar import Response, get
from litestar.types import ASGIApp

from hermesd.api.events import EventRing, Lagged, Numbered, RingClosed, Subscription
from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import event_view
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import EventQuery, Query, read_query
from hermesd.api.views import EventList
from hermesd.core.errors import InvalidValue, Unavailable
from hermesd.http.asgi import Receive, Scope, Send

HEARTBEAT_SECONDS: Final = 15.0
# Between two writes, so that a burst costs a stream ten writes a second and not one per event.
PACE_SECONDS: Final = 0.1
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # else nginx holds the stream back
]


@get(
    "/events",
    opt={
        DOC: Doc(
            summary="The recent events of the fleet, newest first",
            query=EventQuery,
            answers={200: EventList},
            errors=(InvalidValue,),
        )
    },
)
async def list_events(request: HttpRequest) -> Response[EventList]:
    """What the ring has."""
    query = read_query(request.scope["query_string"], EventQuery)
    found = services_of(request).ring.recent(query.limit, query.kind, query.job_id)
    return answer(EventList(count=len(found), events=[event_view(event) for event in found]))


@get(
    "/events/stream",
    opt={
        DOC: Doc(
            summary="Follow the events; a reader too slow gets a last event `lagged`",
            query=Query,
            answers={200: "text/event-stream"},
            headers={"Last-Event-ID": "go on after this event, as far as it is still kept"},
            errors=(InvalidValue, Unavailable),
        )
    },
)
async def stream_events(request: HttpRequest) -> ASGIApp:
    """A stream of events."""
    read_query(request.scope["query_string"], Query)
    last_id = request.headers.get("last-event-id", "")
    last_seq = int(last_id) if last_id.isascii() and last_id.isdigit() else None
    ring = services_of(request).ring
    return EventStream(ring, last_seq)  # type: ignore[return-value]  # Litestar's own TypedDicts


class EventStream:
    """The response that follows the ring until the client leaves, lags, or the ring closes."""

    def __init__(self, ring: EventRing, last_seq: int | None) -> None:
        self._ring = ring
        self._last_seq = last_seq
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; raises Unavailable before anything is sent where too many streams are open."""
        async with self._ring.subscribe(self._last_seq) as events, trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_left, receive, nursery.cancel_scope)
            with suppress(OSError):  # ASGI's way to say that the client left: nobody is to be told
                await self._feed(events, send)
            nursery.cancel_scope.cancel()

    async def _feed(self, events: Subscription, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await _write(send, b"retry: 2000\n\n")
        while True:
            batch: Sequence[Numbered] = ()
            try:
                with trio.move_on_after(HEARTBEAT_SECONDS):
                    batch = await events.batch()
            except Lagged:
                return await _write(send, b"event: lagged\ndata: {}\n\n", more=False)
            except RingClosed:
                return await _write(send, b"", more=False)
            await _write(send, b"".join(map(self._message, batch)) or b": still here\n\n")
            if batch:
                await trio.sleep(PACE_SECONDS)

    def _message(self, numbered: Numbered) -> bytes:
        return b"id: %d\ndata: %b\n\n" % (numbered.seq, self._encode(event_view(numbered.event)))


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _cancel_when_left(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


EVENT_HANDLERS: Final = (list_events, stream_events)
