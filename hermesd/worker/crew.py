"""Runs async handlers in few tasks, each as if it had a task and a cancel scope of its own.

Most handlers are short, and a task and a scope cost more than many of them (measured: 12 of 18
microseconds from a dispatch to an outcome). So a task, a hand, takes one job after another. Once a
handler waits, its hand is its own until it has ended, and others are called for the jobs behind it.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from collections.abc import Callable, Container, Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from operator import attrgetter
from typing import Any, Final

import trio

from hermesd.core.outcome import Outcome
from hermesd.handlers.contract import Handler
from hermesd.resting import Resting
from hermesd.worker.attempt import Attempts, Ended
from hermesd.worker.leases import Running

# What tells one nesting of cancel scopes from another. trio has no public word for it; its deadline
# says nearly as much, for a quarter of the path.
_scopes_around: Final[Callable[[trio.lowlevel.Task], object]] = (
    attrgetter("_cancel_status")
    if hasattr(trio.lowlevel.Task, "_cancel_status")
    else lambda _: trio.current_effective_deadline()
)

# The tasks that hold a trio.Lock, which is broken for all when its holder ends. No public word.
_HOLDERS: Final[Container[trio.lowlevel.Task]] = getattr(
    sys.modules.get("trio._core._parking_lot"), "GLOBAL_PARKING_LOT_BREAKER", ()
)

CALLED_AT_ONCE: Final = 2  # for what stands behind a handler that waits: they double with each
MOST_RESTING: Final = 4  # hands that wait for the next job, since a new one is a new task


class Crew:
    """Takes accepted jobs; their handlers begin in the order in which they came.

    Hands run in the nursery `jobs`.
    """

    def __init__(self, attempts: Attempts, jobs: trio.Nursery):
        self.come: deque[tuple[Running, Handler]] = deque()
        self.attempts = attempts
        self.context = copy_context()  # what each handler finds, whatever others have set in theirs
        self._jobs = jobs
        self._called = 0  # hands that have not begun yet
        self._resting = Resting()

    def take(self, accepted: Sequence[tuple[Running, Handler]]) -> None:
        """Run them, beside all others."""
        self.attempts.begin(run for run, _ in accepted)
        self.come.extend(accepted)
        self.call(1)

    def call(self, most: int = CALLED_AT_ONCE) -> None:
        """See to it that so many hands, if there are jobs for them, begin with what has come."""
        while self._called < min(most, len(self.come)):
            self._called += 1
            if not self._resting.call():
                self.context.run(self._jobs.start_soon, self._work)  # not in that of who calls

    async def _work(self) -> None:
        while True:
            self._called -= 1
            task = trio.lowlevel.current_task()
            # A nursery that a handler has left open ends the worker with this task, at once.
            spoilt = await _Hand(self).work() or task.child_nurseries
            if spoilt or len(self._resting) >= MOST_RESTING:
                return
            task.context = self.context.copy()  # it goes on as a new task would
            await self._resting.rest()


class _Hand:
    """One task; `_run` is the job that it has in hand, until its outcome is known.

    `_over` are those that have ended since anybody else could look.
    """

    def __init__(self, crew: Crew):
        self._crew = crew
        self._attempts = crew.attempts
        self._task = trio.lowlevel.current_task()
        self._run: Running | None = None
        self._began = 0.0
        self._context = crew.context
        self._outcome: Outcome | None = None
        self._waited = False
        self._over: list[Ended] = []

    async def work(self) -> bool:
        """Run what has come until nothing is left, or one of them spoilt the task: then it is True.

        One that has waited, in whose context the task has gone on, or that has left a lock held:
        others take what is behind it.
        """
        while self._crew.come:
            scope = trio.CancelScope()
            try:
                with scope:
                    await self._series(scope)
                run, outcome = self._run, self._left(scope)
            except BaseException as raised:
                run, outcome = self._run, self._judged(raised)
            finally:
                self._flush()
            self._run = None
            if run is not None and outcome is not None:
                if self._attempts.has_told(run):
                    self._crew.call()  # for it may wait a moment
                seconds = self._attempts.now() - self._began
                # Of one that has waited, this step still runs within its own: so a copy.
                await self._attempts.over((run, outcome, seconds, self._context.copy()))
                if self._waited or self._task in _HOLDERS:
                    self._crew.call()
                    return True
        return False

    async def _series(self, scope: trio.CancelScope) -> None:
        """Jobs one after another, until none is left or one is to be ended outside of the scope."""
        attempts, come, context = self._attempts, self._crew.come, self._crew.context
        # What it left open would end other jobs; leaving the scope around it tells of that.
        within = _scopes_around(self._task)
        now = attempts.now()
        while come:
            self._run, handler = run, _ = come.popleft()
            self._began, self._outcome, self._waited = now, None, False
            self._context = own = context.copy()
            attempts.observers.job_started(run.job)
            if scope.deadline != run.deadline:
                scope.deadline = run.deadline
            run.within(scope)
            arguments = attempts.arguments(run, handler)
            value = await _driven(handler.fn(*arguments), own, self._waits)
            outcome = self._outcome = attempts.succeeded(run, handler, value)
            if (
                self._waited
                or run.why is not None
                or _scopes_around(self._task) is not within
                or self._task in _HOLDERS
                or attempts.has_told(run)
            ):
                return
            now = attempts.now()
            self._over.append((run, outcome, now - self._began, own))
            self._run = None

    def _left(self, scope: trio.CancelScope) -> Outcome | None:
        """The outcome of the job in hand, if there is one, after the scope around it was left."""
        if self._run is not None and scope.cancelled_caught:
            return self._attempts.ended(self._run)
        return self._outcome

    def _judged(self, raised: BaseException) -> Outcome:
        """The outcome of the job in hand, where that was raised."""
        if self._run is None:
            raise raised
        try:
            return self._attempts.raised(self._run, raised)
        except BaseException:
            self._attempts.torn(self._run)
            raise

    def _waits(self) -> None:
        self._waited = True
        self._flush()
        self._crew.call()

    def _flush(self) -> None:
        over, self._over = self._over, []
        self._attempts.all_over(over)


@types.coroutine
def _driven(
    handler: Coroutine[Any, Any, Any], context: Context, waits: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """Await a handler in a context of its own; `waits` is called when it waits for the first time.

    See PEP 380 for `yield from`, which could not tell.
    """
    try:
        message = context.run(handler.send, None)
    except StopIteration as end:
        return end.value
    task = trio.lowlevel.current_task()
    before, task.context = task.context, context
    waits()
    try:
        while True:
            try:
                answer = yield message
            except BaseException as raised:
                message = handler.throw(raised)
            else:
                message = handler.send(answer)
    except StopIteration as end:
        return end.value
    finally:
        task.context = before
