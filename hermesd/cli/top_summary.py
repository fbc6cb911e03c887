"""GET /events/summary: what changed in a deployment, as a stream of summaries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import httpx
import msgspec

from hermesd.client import BadAnswer, ConnectionFailed
from hermesd.client.answers import Answer
from hermesd.client.feed import MessageParser
from hermesd.client.reading import RawAnswer, refusal
from hermesd.client.wire import Wire, header_mapping, opened, translated

PATH: Final = "/events/summary"
STALE_SECONDS: Final = 10.0  # one comes every 2 s
MAX_REFUSAL_BYTES: Final = 64 * 1024


class Summary(Answer, frozen=True, kw_only=True):
    """The members of a summary that the screen shows; rates are per second."""

    api: str = ""
    uptime_seconds: float = 0.0
    jobs: dict[str, int] = msgspec.field(default_factory=dict)
    waiting: dict[str, float] = msgspec.field(default_factory=dict)
    rung: str = ""
    rung_reason: str = ""
    rates: dict[str, float] = msgspec.field(default_factory=dict)
    changes: dict[str, int] = msgspec.field(default_factory=dict)
    notable: tuple[msgspec.Raw, ...] = ()


@asynccontextmanager
async def summaries(
    base_url: str, timeout_seconds: float
) -> AsyncIterator[AsyncGenerator[Summary]]:
    """Summaries of one connection, as they come.

    The iterator raises ClientError: ApiError where the api has none to give (404: it is older),
    ConnectionFailed when the stream ends or says nothing for STALE_SECONDS.
    """
    wire = Wire(
        base_url=base_url, timeout_seconds=timeout_seconds, max_answer_bytes=MAX_REFUSAL_BYTES
    )
    async with opened(httpx.AsyncClient, wire) as http, aclosing(_read(http, wire)) as stream:
        yield stream


async def _read(http: httpx.AsyncClient, wire: Wire) -> AsyncGenerator[Summary]:
    timeout = httpx.Timeout(wire.timeout_seconds, read=STALE_SECONDS)
    accept = {"accept": "text/event-stream"}
    parser = MessageParser()
    with translated(wire.base_url):
        async with http.stream("GET", PATH, headers=accept, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                raise refusal(await _refused(response, wire))
            async for chunk in response.aiter_raw():
                for message in parser.take(chunk):
                    if message.event == "summary":
                        yield _decoded(message.data)
        raise ConnectionFailed("the stream of summaries ended", sent=True)


async def _refused(response: httpx.Response, wire: Wire) -> RawAnswer:
    inbox = wire.inbox(wire.timeout_seconds)
    async for chunk in response.aiter_raw():
        inbox.take(chunk)
    return RawAnswer(response.status_code, header_mapping(response.headers), inbox.body)


def _decoded(data: str) -> Summary:
    try:
        return msgspec.json.decode(data, type=Summary)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"this stream of summaries is not hermesd's: {error}") from error
