"""Runs jobs of kind "process": each in a child that can be killed and whose crash stays its own.

    async with trio.open_nursery() as nursery, ProcessPool(nursery, size=2) as pool:
        reply = await pool.run(ProcessTask.for_job(handler, job))

Children are warm: started when first needed, given one job at a time, reused, and replaced after a
number of jobs or past a size. The `-P -m hermesd.worker.child` program is the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

import msgspec
import structlog
import trio

from hermesd.core.job import ErrorInfo
from hermesd.core.outcome import OutcomeKind
from hermesd.worker.child.family import resident_bytes
from hermesd.worker.child.frames import Noted, ProcessReply, ProcessTask
from hermesd.worker.child.life import Child, ChildLost, ReplyTooLarge, describe_exit

__all__ = ["PoolLimits", "ProcessPool", "ProcessReply", "ProcessTask"]

START_ATTEMPTS: Final = 3
DYING_SECONDS: Final = 0.5  # from the end of a channel to the end of its process


def _not_heard(noted: Noted) -> None:
    pass


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a child is replaced, and how large a result may be (JSON, bytes)."""

    max_jobs_per_child: int = 1000
    max_child_rss_bytes: int | None = None
    max_result_bytes: int = 1024 * 1024


class ProcessPool:
    """At most `size` children at work; their watchers run in `nursery`.

    The nursery must outlive the jobs: when it is cancelled the children die. `aclose` (or leaving
    `async with`) kills them all.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        size: int,
        limits: PoolLimits | None = None,
        logger: Any = None,
    ) -> None:
        self._nursery = nursery
        self._limits = PoolLimits() if limits is None else limits
        self._logger = structlog.get_logger() if logger is None else logger
        self._slots = trio.CapacityLimiter(size)
        self._idle: list[Child] = []
        self._children: set[Child] = set()
        self._staff: set[Child] = set()  # those of them that are not leaving
        self._closed = False

    @property
    def child_pids(self) -> frozenset[int]:
        """The children that have not been reaped, at work or warm."""
        return frozenset(child.pid for child in self._children)

    def resize(self, size: int, limits: PoolLimits) -> None:
        """Have so many from now on; a child at work is replaced, or goes, when its job has ended.

        How large a result may be stays as it was for children that live.
        """
        self._limits = limits
        self._slots.total_tokens = size
        while self._idle and self._too_many:
            self._dismiss(self._idle.pop(0))

    async def run(
        self, task: ProcessTask, noted: Callable[[Noted], None] = _not_heard
    ) -> ProcessReply:
        """Runs one attempt in a child and gives its reply; waits for a child to be free.

        `noted` is called with what its handler tells of itself, as it comes.

        A child that dies of its job makes the reply CRASHED, with the exit status or signal and the
        end of what it printed. Cancelled, it kills the child with all that it has started, waits
        (bounded) until it is reaped, and goes on with Cancelled. Raises trio.ClosedResourceError
        when the pool is closed, before or meanwhile.
        """
        async with self._slots:
            for _ in range(START_ATTEMPTS):
                try:
                    child = self._take()
                except OSError as error:
                    return _not_started(f"no child process can be started: {error}")
                reply = await self._run_in(child, task, noted)
                if reply is not None:
                    return reply
        return _not_started(
            f"{START_ATTEMPTS} child processes in turn ended before they took the job; "
            f"the last: {describe_exit(child.returncode)}\n{child.tail()}"
        )

    async def _run_in(
        self, child: Child, task: ProcessTask, noted: Callable[[Noted], None]
    ) -> ProcessReply | None:
        """The reply, or None where the child died before it had touched the job."""
        try:
            reply = await child.perform(task, noted)
        except ChildLost as lost:
            return await self._bury(child, task, began=lost.began)
        except ReplyTooLarge as error:
            await child.end()
            return _too_large(error.size, self._limits.max_result_bytes)
        except BaseException:
            await child.end()
            raise
        if self._is_worn(child) or self._too_many:
            self._dismiss(child)
        else:
            self._idle.append(child)
        return reply

    async def _bury(self, child: Child, task: ProcessTask, *, began: bool) -> ProcessReply | None:
        """Learns how a child whose channel has ended died."""
        try:
            with trio.move_on_after(DYING_SECONDS):
                await child.gone.wait()
            by_itself = child.gone.is_set()
        finally:
            await child.end()
        if self._closed:
            raise trio.ClosedResourceError("the process pool is closed")
        if not began:
            return None
        reason = (
            describe_exit(child.returncode) if by_itself else "the child process broke its channel"
        )
        self._logger.warning(
            "child.crashed", pid=child.pid, job_id=task.job_id, type=task.type, reason=reason
        )
        error = ErrorInfo(kind="crashed", message=reason, traceback=child.tail())
        return ProcessReply(kind=OutcomeKind.CRASHED, error=error)

    async def aclose(self) -> None:
        """Kills all children with what they have started, and reaps them; runs under way raise."""
        self._closed = True
        self._idle.clear()
        async with trio.open_nursery() as nursery:
            for child in self._children:
                nursery.start_soon(child.end)

    async def __aenter__(self) -> ProcessPool:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _take(self) -> Child:
        """The child used last, while it is warm, or a new one."""
        if self._closed:
            raise trio.ClosedResourceError("the process pool is closed")
        while self._idle:
            child = self._idle.pop()
            if not child.gone.is_set():
                return child
        child = Child(self._limits.max_result_bytes, self._logger)
        self._children.add(child)
        self._staff.add(child)
        self._nursery.start_soon(self._watch, child)
        return child

    async def _watch(self, child: Child) -> None:
        try:
            await child.watch()
        finally:
            self._children.discard(child)
            self._staff.discard(child)

    @property
    def _too_many(self) -> bool:
        """Whether more children are warm or at work than should be by now."""
        return len(self._staff) > self._slots.total_tokens

    def _dismiss(self, child: Child) -> None:
        self._staff.discard(child)
        self._nursery.start_soon(child.retire)

    def _is_worn(self, child: Child) -> bool:
        if child.jobs >= self._limits.max_jobs_per_child:
            return True
        limit = self._limits.max_child_rss_bytes
        return limit is not None and resident_bytes(child.pid) > limit


def _not_started(message: str) -> ProcessReply:
    """Not the job's fault, so that it counts as an attempt and not as a crash."""
    error = ErrorInfo(kind="error", message=message)
    return ProcessReply(kind=OutcomeKind.FAILED, error=error)


def _too_large(size: int, limit: int) -> ProcessReply:
    message = f"the reply has {size} bytes, and a result may have {limit}"
    error = ErrorInfo(kind="unstorable-result", message=message)
    return ProcessReply(kind=OutcomeKind.PERMANENT, error=error)
