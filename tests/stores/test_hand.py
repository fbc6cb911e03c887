"""A thread of one's own for one task's calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from hermesd.stores.hand import OwnThread


@pytest.fixture
def thread() -> Iterator[OwnThread]:
    """Ended after the test."""
    made = OwnThread("tested")
    yield made
    made.close()


async def test_every_call_runs_in_the_same_other_thread(thread: OwnThread) -> None:
    """And its answer comes back."""
    idents = {await thread.run(threading.get_ident) for _ in range(3)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


async def test_an_error_comes_back_and_the_thread_goes_on(thread: OwnThread) -> None:
    """It is the caller's."""
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 1) == 1


async def test_a_cancelled_caller_waits_for_its_call(thread: OwnThread) -> None:
    """What has begun is known to have ended when the caller goes on."""
    let = threading.Event()
    ended: list[bool] = []

    def call() -> None:
        assert let.wait(60)
        ended.append(True)

    async def caller() -> None:
        await thread.run(call)
        assert ended

    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        let.set()
    assert ended


def test_a_thread_that_was_never_used_ends_too() -> None:
    """There is none."""
    OwnThread("unused").close()
