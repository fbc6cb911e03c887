"""RabbitMQ goes away, hangs or takes nothing under load, and comes back (faults 10 and 11)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from processes.broker import Broker
from processes.client import until
from processes.deployment import QUICK, Deployment
from processes.rungs import (
    came_through,
    fast_again,
    owned,
    owners,
    rate,
    serves,
    started,
)
from processes.stream import Stream, submitting
from processes.submitter import bodies

# Two workers start at most 2 * 6 / 0.4 s = 30 jobs a second: so a backlog lasts, and what limits
# the rate are their slots, not the machine.
JOB = {"seconds": 0.4}
SLOTS = {"HERMES_WORKER__ASYNC_SLOTS": "6"}
LOAD = 10.0


@asynccontextmanager
async def under_load(ladder: Deployment, backlog: int) -> AsyncIterator[tuple[list[str], Stream]]:
    """Jobs wait in RabbitMQ, two workers pull them, and more jobs come all the time."""
    ladder.settings |= QUICK
    await ladder.api()
    await serves(ladder, "amqp")
    waiting = await ladder.client.submit_many("note", JOB, backlog)
    await owned(ladder, waiting)
    for name in ("w1", "w2"):
        await ladder.worker(name, **SLOTS)
    await started(ladder, 36)
    submits = bodies("note", [JOB])
    async with submitting(ladder.client.port, submits, rate=LOAD) as stream:
        yield waiting, stream


async def kill(broker: Broker) -> None:
    """kill -9 and, a while later, a start."""
    await broker.kill9()


async def stop(broker: Broker) -> None:
    """A stop in its own way."""
    await broker.stop()


async def hang(broker: Broker) -> None:
    """Sockets stay open and nothing is said."""
    broker.pause()


async def starve(broker: Broker) -> None:
    """The memory alarm: it reads nothing from who publishes."""
    await broker.alarm()


Fault = Callable[[Broker], Awaitable[None]]


@pytest.mark.faults
@pytest.mark.parametrize("fault", [kill, stop, hang, starve], ids=lambda each: each.__name__)
async def test_jobs_go_on_while_rabbitmq_does_not_serve(
    ladder: Deployment, broker: Broker, fault: Fault
) -> None:
    """Submits keep their 2xx, the store's rung serves with a reason, and nothing is lost."""
    # However long the node takes to start, the backlog is to be there still.
    ladder.settings["HERMES_QUEUE__TAKE_BACK_SECONDS"] = "600"
    async with under_load(ladder, 1500) as (waiting, stream):
        before = await rate(ladder)
        await fault(broker)
        reason = await serves(ladder, "store", 20)
        assert reason
        ran = len(ladder.history.starts())
        await started(ladder, ran + 30)
        await broker.recover()
        await serves(ladder, "amqp", 20)
        assert owners(ladder, waiting)["amqp"] > 250, "too small a backlog to measure a rate"
        await fast_again(ladder, before)
    stream.check()
    await came_through(ladder, [*waiting, *stream.accepted])
    assert len(ladder.history.starts()) == len(waiting) + len(stream.accepted)
    assert sum((await broker.messages()).values()) == 0


@pytest.mark.faults
async def test_connections_cut_again_and_again_double_nothing(
    ladder: Deployment, broker: Broker
) -> None:
    """What was on its way is published or delivered again, and refused where it was claimed."""
    async with under_load(ladder, 400) as (waiting, stream):
        for _ in range(5):
            await broker.cut_connections()
            await started(ladder, len(ladder.history.starts()) + 30)
        await serves(ladder, "amqp", 20)
    stream.check()
    await came_through(ladder, [*waiting, *stream.accepted])
    assert len(ladder.history.starts()) == len(waiting) + len(stream.accepted)


@pytest.mark.faults
async def test_a_minute_without_rabbitmq(ladder: Deployment, broker: Broker) -> None:
    """What waited there goes back to the store and runs; when it is back, it carries jobs again."""
    ladder.settings["HERMES_QUEUE__TAKE_BACK_SECONDS"] = "5"
    async with under_load(ladder, 500) as (waiting, stream):
        before = await rate(ladder)
        await broker.kill9()
        down = trio.current_time()
        await serves(ladder, "store", 20)
        await until(partial(all_ran, ladder, waiting), "what waited in RabbitMQ to run", 55)
        await trio.sleep_until(down + 60)
        await broker.start()
        await serves(ladder, "amqp", 20)
        again = await ladder.client.submit_many("note", JOB, 500)
        await fast_again(ladder, before)
        await until(partial(some_in_broker, ladder, again), "jobs to wait in RabbitMQ", 20)
    stream.check()
    ids = [*waiting, *stream.accepted, *again]
    await came_through(ladder, ids)
    # Those whose messages were left in the broker are refused when they are pulled.
    assert len(ladder.history.starts()) == len(ids)


async def all_ran(ladder: Deployment, ids: list[str]) -> bool:
    """Whether all of these have succeeded."""
    jobs = ladder.history.jobs()
    return all(jobs[each].state == "succeeded" for each in ids)


@pytest.mark.faults
async def test_daemons_start_without_rabbitmq_and_use_it_when_it_comes(
    ladder: Deployment, broker: Broker
) -> None:
    """An absent broker is no fault of theirs: they are ready, and say which rung serves and why."""
    await broker.kill9()
    ladder.settings |= QUICK
    await ladder.api()
    assert await serves(ladder, "store", 20)
    ids = await ladder.client.submit_many("note", JOB, 200)
    await ladder.worker("w1", **SLOTS)
    await started(ladder, 30)
    assert owners(ladder, ids)["amqp"] == 0
    await broker.start()
    await serves(ladder, "amqp", 20)
    ids += await ladder.client.submit_many("note", JOB, 200)
    await until(partial(some_in_broker, ladder, ids), "jobs to wait in RabbitMQ", 20)
    await came_through(ladder, ids)
    assert len(ladder.history.starts()) == 400


async def some_in_broker(ladder: Deployment, ids: list[str]) -> bool:
    """Whether the broker has some of these."""
    return owners(ladder, ids)["amqp"] > 0
