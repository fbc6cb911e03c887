"""Backends of the group commit that a test holds by the hand."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio
import trio.testing

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import Answers, CommitUnknown, Evidence, Part, Verb
from hermesd.stores.group import GroupCommit
from hermesd.stores.pace import Pace


class HeldBackend:
    """Commits when let; an item that is an exception is a fault, `landed` what a look-up says."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.gate = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.fate: bool | StoreUnavailable | None = None
        self.untended = False
        self.tended: list[str] = []
        self.closed = False

    def let(self, groups: int = 100) -> None:
        """So many transactions may go on."""
        self.gate.release(groups)

    async def busy(self) -> None:
        """Wait until a transaction has begun."""
        assert await trio.to_thread.run_sync(lambda: self.entered.acquire(timeout=60))

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """Never."""
        return None

    def needs_tending(self) -> bool:
        """When the test says so, once."""
        wanted, self.untended = self.untended, False
        return wanted

    def tend_ahead(self) -> None:
        """Note it."""
        self.tended.append("ahead")

    def tend(self) -> None:
        """Note it."""
        self.tended.append("between")

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """Answers each item's text in capitals."""
        self.entered.release()
        assert self.gate.acquire(timeout=60)
        items = [item for part in parts for item in part.items]
        for item in items:
            if isinstance(item, Exception):
                raise item
        self.groups.append(items)
        answers = [[str(item).upper() for item in part.items] for part in parts]
        if self.fate is not None:
            raise CommitUnknown(answers, ("job", "queued", 1))
        return answers

    def landed(self, evidence: Evidence) -> bool:
        """As the test has it."""
        if isinstance(self.fate, StoreUnavailable):
            raise self.fate
        return bool(self.fate)

    def instead(self, part: Part, reason: str) -> Part | None:
        """An outcome is replaced, nothing else is."""
        if part.verb is not Verb.SETTLE:
            return None
        return Part(verb=Verb.SETTLE_INSTEAD, items=(f"instead: {reason}",), at=part.at)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class QuickBackend(HeldBackend):
    """Commits at once on any thread, except what is to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.let(1000)
        self.waited: list[bool] = []
        self.locked = False

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """See HeldBackend; locked by another program where the test says so."""
        self.waited.append(wait)
        if self.locked and not wait:
            raise StoreUnavailable("locked")
        return super().commit(parts, wait=wait)


class AtOnceBackend(QuickBackend):
    """Commits at once, and notes in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """As `commit` does without waiting."""

        def call() -> Answers:
            self.threads.append(threading.get_ident())
            return self.commit(parts, wait=False)

        return call


class SlowAhead:
    """An `ahead` that answers when it is let, and not what it is told is hard."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.begun = trio.Event()
        self.let = trio.Event()

    async def __call__(self, parts: Sequence[Part]) -> Answers | None:
        """In capitals."""
        self.begun.set()
        await self.let.wait()
        items = [item for part in parts for item in part.items]
        if "hard" in items:
            return None
        self.groups.append(items)
        return [[item.upper() for item in part.items] for part in parts]


@asynccontextmanager
async def running(
    backend: HeldBackend, *, max_group: int = 100, max_pending: int = 1000
) -> AsyncIterator[GroupCommit]:
    """A group commit over the backend, which is let go on at the end."""
    group = GroupCommit(
        backend, max_group=max_group, max_pending=max_pending, log=structlog.get_logger()
    )
    async with group.running():
        try:
            yield group
        finally:
            backend.let()


def here(backend: HeldBackend, *, max_group: int = 100) -> GroupCommit:
    """A group commit that commits small groups on the loop's thread; see `may_wait`."""
    return GroupCommit(
        backend,
        max_group=max_group,
        max_pending=1000,
        log=structlog.get_logger(),
        pace=Pace(),
        may_wait=may_wait,
    )


def may_wait(part: Part) -> bool:
    """Every outcome can wait for company but those called so."""
    return part.verb is Verb.SETTLE and "impatient" not in part.items


def at_once(call: Coroutine[Any, Any, list[Any]]) -> list[Any] | None:
    """The answers of a call that does not wait for anything; None where it does."""
    try:
        call.send(None)
    except StopIteration as end:
        answers: list[Any] = end.value
        return answers
    call.close()
    return None


@asynccontextmanager
async def resting(backend: HeldBackend, ahead: SlowAhead) -> AsyncIterator[GroupCommit]:
    """A group commit that tries `ahead` first, with nothing to do."""
    log = structlog.get_logger()
    group = GroupCommit(backend, max_group=100, max_pending=1000, log=log, ahead=ahead)
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        yield group
