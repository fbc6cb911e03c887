"""The recent events as a page, and as a stream (Server-Sent Events, WHATWG HTML 9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Protocol

import msgspec
import trio
from litestar import Response, get
from litestar.types import ASGIApp

from hermesd.api.events import EventRing, Lagged, Numbered, RingClosed, Subscription
from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import event_view
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import EventQuery, Query, StreamQuery, read_query
from hermesd.api.views import EventList
from hermesd.core.errors import InvalidValue, Unavailable
from hermesd.core.words import Event
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
            query=StreamQuery,
            answers={200: "text/event-stream"},
            headers={"Last-Event-ID": "go on after this event, as far as it is still kept"},
            errors=(InvalidValue, Unavailable),
        )
    },
)
async def stream_events(request: HttpRequest) -> ASGIApp:
    """A stream of events."""
    query = read_query(request.scope["query_string"], StreamQuery)
    last_id = request.headers.get("last-event-id", "")
    last_seq = int(last_id) if last_id.isascii() and last_id.isdigit() else None
    fits = None if query == StreamQuery() else query.fits
    ring = services_of(request).ring
    return Stream(_events(ring, last_seq, fits))  # type: ignore[return-value]  # Litestar's own TypedDicts


@get(
    "/events/summary",
    opt={
        DOC: Doc(
            summary="Follow what goes on in summaries, one every half second to two seconds",
            query=Query,
            answers={200: "text/event-stream"},
            headers={"Last-Event-ID": "go on after this summary, as far as it is still kept"},
            errors=(InvalidValue, Unavailable),
        )
    },
)
async def stream_summaries(request: HttpRequest) -> ASGIApp:
    """A stream of `summary` events, whose data is a SummaryView."""
    read_query(request.scope["query_string"], Query)
    last_id = request.headers.get("last-event-id", "")
    summaries = services_of(request).summaries
    return Stream(summaries.watch(last_id))  # type: ignore[return-value]  # as above


class Followed(Protocol):
    """What a stream shows."""

    async def text(self) -> bytes:
        """What is new, as whole messages, when there is any; raises Lagged, RingClosed."""


class Stream:
    """The response that shows what is new until the client leaves or lags, or the api stops.

    Raises Unavailable, as opening what is followed does, before anything is sent.
    """

    def __init__(self, opening: AbstractAsyncContextManager[Followed]) -> None:
        self._opening = opening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        async with self._opening as followed, trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_left, receive, nursery.cancel_scope)
            with suppress(OSError):  # ASGI's way to say that the client left: nobody is to be told
                await _feed(followed, send)
            nursery.cancel_scope.cancel()


async def _feed(followed: Followed, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await _write(send, b"retry: 2000\n\n")
    while True:
        text = b""
        try:
            with trio.move_on_after(HEARTBEAT_SECONDS):
                text = await followed.text()
        except Lagged:
            return await _write(send, b"event: lagged\ndata: {}\n\n", more=False)
        except RingClosed:
            return await _write(send, b"", more=False)
        await _write(send, text or b": still here\n\n")
        if text:
            await trio.sleep(PACE_SECONDS)


@asynccontextmanager
async def _events(
    ring: EventRing, last_seq: int | None, fits: Callable[[Event], bool] | None
) -> AsyncIterator[Followed]:
    async with ring.subscribe(last_seq, fits) as events:
        yield _Messages(events)


class _Messages:
    """Events as messages with their numbers."""

    def __init__(self, events: Subscription) -> None:
        self._events = events
        self._encode = msgspec.json.Encoder().encode

    async def text(self) -> bytes:
        """See Followed."""
        return b"".join(map(self._message, await self._events.batch()))

    def _message(self, numbered: Numbered) -> bytes:
        return b"id: %d\ndata: %b\n\n" % (numbered.seq, self._encode(event_view(numbered.event)))


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _cancel_when_left(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


EVENT_HANDLERS: Final = (list_events, stream_events, stream_summaries)
