"""One run from its first submit to the last job's end."""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio

from hermesd.bench import descriptors
from hermesd.bench.bodies import Bodies
from hermesd.bench.plan import Plan
from hermesd.bench.recorded import Recorded, Statistics, until_recorded
from hermesd.bench.report import Report, reported
from hermesd.bench.sender import Sender
from hermesd.bench.tally import Tally
from hermesd.bench.target import Target
from hermesd.bench.tickets import Tickets

TICK_SECONDS = 0.2

Show = Callable[[Tally, float], None]


async def measure(plan: Plan, show: Show | None = None) -> Report:
    """Put the load of `plan` on the api and report; `show(tally, now)` is called while it lasts.

    SIGINT ends it early, with a report of what there was until then. Raises ClientError where
    the api cannot be reached at the start or while jobs are waited for, InvalidValue where the
    plan needs more than this process may have.
    """
    target = Target.of(plan.url)
    descriptors.allow(plan.concurrency)
    statistics = Statistics(plan, target)
    try:
        return await _run(plan, target, statistics, show)
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        with trio.CancelScope(shield=True):
            await statistics.aclose()


async def _run(plan: Plan, target: Target, statistics: Statistics, show: Show | None) -> Report:
    before = await statistics.jobs()
    tally = Tally(trio.current_time())
    recorded: Recorded | None = None
    interrupted = trio.Event()
    async with trio.open_nursery() as around:
        around.start_soon(_tick, tally, show)
        await around.start(_obey_interrupt, interrupted)
        await _submit_all(plan, target, tally, interrupted)
        if plan.wait_seconds is not None and not interrupted.is_set():
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_cancel_after, interrupted, waiting.cancel_scope)
                recorded = await until_recorded(statistics, before, tally, plan.wait_seconds)
                waiting.cancel_scope.cancel()
        around.cancel_scope.cancel()
    return reported(plan, tally, recorded, interrupted=interrupted.is_set())


def _first(error: BaseException) -> BaseException:
    """What a nursery's group is about: one fault that ended everything beside it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _submit_all(plan: Plan, target: Target, tally: Tally, interrupted: trio.Event) -> None:
    """Every connection until its tickets are used up; what is under way then may still end."""
    tickets = Tickets(plan, tally.began)
    sender = Sender(plan, target, Bodies(plan), tickets, tally)
    async with trio.open_nursery() as around:
        async with trio.open_nursery() as connections:
            around.start_soon(_end_early, plan, tickets, interrupted, connections.cancel_scope)
            for _ in range(plan.concurrency):
                connections.start_soon(sender.run)
        around.cancel_scope.cancel()


async def _end_early(
    plan: Plan, tickets: Tickets, interrupted: trio.Event, connections: trio.CancelScope
) -> None:
    """At the end of the time, or at SIGINT: no more submits, and a bounded time for the rest."""
    if plan.duration_seconds is None:
        await interrupted.wait()
    else:
        with trio.move_on_after(plan.duration_seconds):
            await interrupted.wait()
    tickets.close()
    rest_seconds = 1.0 if interrupted.is_set() else plan.timeout_seconds
    connections.deadline = trio.current_time() + rest_seconds
    await interrupted.wait()
    connections.deadline = min(connections.deadline, trio.current_time() + 1.0)


async def _tick(tally: Tally, show: Show | None) -> None:
    while show is not None:
        show(tally, trio.current_time())
        await trio.sleep(TICK_SECONDS)


async def _obey_interrupt(
    interrupted: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            interrupted.set()
            break
    # The receiver is closed now: a second SIGINT ends the program at once.


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
