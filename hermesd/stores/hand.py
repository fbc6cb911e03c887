"""A thread of one's own: calls go to it one after another, and their answers come back to trio.

Cheaper than `trio.to_thread` for one who hands off many small calls: no thread is looked for and
no context copied (measured: 80 against 140 µs of processor time for a call that does nothing).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar, cast

import outcome
import trio

T = TypeVar("T")
_Job = tuple[Callable[[], Any], trio.lowlevel.Task, trio.lowlevel.TrioToken]


class OwnThread:
    """Started by its first call, ended by `close()`; one task calls."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._calls: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` answers or raises, run in the thread; a cancellation waits for it."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            thread.start()  # or there is none
            self._thread = thread
        self._calls.put((call, trio.lowlevel.current_task(), trio.lowlevel.current_trio_token()))
        return cast(T, await trio.lowlevel.wait_task_rescheduled(_not_to_be_stopped))

    def close(self) -> None:
        """End the thread, which must have no call under way."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (job := self._calls.get()) is not None:
            call, task, token = job
            answer = outcome.capture(call)
            with contextlib.suppress(trio.RunFinishedError):  # nobody is left to hear it
                token.run_sync_soon(trio.lowlevel.reschedule, task, answer)
            del job, call, task, answer  # nothing is kept alive until the next call


def _not_to_be_stopped(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
