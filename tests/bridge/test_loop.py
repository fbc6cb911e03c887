"""The asyncio loop inside trio, and the book of calls."""

from __future__ import annotations

import asyncio

import pytest
import structlog
import trio
from trio_asyncio import aio_as_trio

from hermesd.bridge.callbook import CallBook
from hermesd.bridge.loop import open_bridge
from hermesd.core.errors import Unavailable


async def test_a_failing_asyncio_callback_is_logged_and_ends_nothing():
    """Without it one bad connection would end the daemon."""

    def fail() -> None:
        raise RuntimeError("in a callback")

    async def misbehave() -> None:
        asyncio.get_running_loop().call_soon(fail)

    with structlog.testing.capture_logs() as logs:
        async with open_bridge():
            await aio_as_trio(misbehave)()
            assert await aio_as_trio(asyncio.sleep)(0, "alive") == "alive"
    assert [entry["event"] for entry in logs] == ["asyncio_callback_failed"]


async def test_a_full_book_refuses_and_takes_again_when_a_call_has_ended(autojump_clock):
    """The limit bounds what peers can have under way."""
    book = CallBook(limit=1)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(book.run, trio.sleep, 1)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Unavailable, match="limit"):
                await book.run(trio.sleep, 0)
        await book.run(trio.sleep, 0)


async def test_a_closed_book_has_nothing_under_way(autojump_clock):
    """Its calls are told why they ended."""
    book = CallBook(limit=9)
    reasons = []

    async def call() -> None:
        with pytest.raises(Unavailable) as caught:
            await book.run(trio.sleep_forever)
        reasons.append(caught.value.detail)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            await book.close()
        with pytest.raises(Unavailable):
            await book.run(trio.sleep, 0)
    assert reasons == ["the api is shutting down"]
