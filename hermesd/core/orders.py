"""What operators order: workers to pause, to go on or to leave, and queues to stand still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

MAX_REASON_CHARS: Final = 500


class OrderKind(StrEnum):
    """What a worker is to do."""

    PAUSE = "pause"  # take no new job; what runs goes on, and so do the heartbeats
    RESUME = "resume"
    DRAIN = "drain"  # end what runs, then leave for good, as after SIGTERM


class WorkerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's word to one worker; its `id` lets the worker carry it out once.

    `at_once` is of a drain: what runs is given back instead of awaited.
    """

    id: str
    kind: OrderKind
    reason: str = ""
    at_once: bool = False


class QueuePause(msgspec.Struct, frozen=True, kw_only=True):
    """A queue whose jobs nobody starts; `since` is in UTC seconds, `by` is for people."""

    queue: str
    since: float
    reason: str = ""
    by: str = ""


class Pauses:
    """The paused queues as one api knows them: what the store said when it last looked."""

    def __init__(self) -> None:
        self._pauses: Mapping[str, QueuePause] = {}
        self.queues: tuple[str, ...] = ()

    def __contains__(self, queue: str) -> bool:
        return queue in self._pauses

    def get(self, queue: str) -> QueuePause | None:
        """The pause of a queue, if it is paused."""
        return self._pauses.get(queue)

    def learn(self, pauses: Iterable[QueuePause]) -> bool:
        """Know these from now on; True where other queues are paused than before."""
        self._pauses = {pause.queue: pause for pause in pauses}
        queues, before = tuple(sorted(self._pauses)), self.queues
        self.queues = queues
        return queues != before

    def explain(self, queue: str) -> str:
        """Why a job of a paused queue waits, for people."""
        pause = self._pauses[queue]
        return f"queue {queue} is paused" + (f" ({pause.reason})" if pause.reason else "")
