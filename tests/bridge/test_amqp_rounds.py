"""Taking many messages at a time, against a real RabbitMQ."""

from __future__ import annotations

import pytest
import trio
from bridge.amqp_lines import (
    PATIENCE_SECONDS,
    drain,
    gathered,
    holds,
    new_queue,
    open_line,
    publish,
    until,
)

from hermesd.core.broker import QueueFacts
from hermesd.core.errors import Unavailable


@pytest.fixture
async def line(bridge, rabbitmq):
    async with open_line(rabbitmq.url()) as opened:
        yield opened


def numbers(deliveries) -> list[int]:
    """What the messages of `numbered` carry."""
    return [int(each.body) for each in deliveries]


async def numbered(line, count: int) -> str:
    """A queue with so many messages."""
    queue = await new_queue(line)
    await publish(line, queue, *[b"%d" % i for i in range(count)])
    return queue


async def test_as_many_as_wanted_come_in_order_and_no_more(line):
    """However they are acknowledged, by the end all are gone, and nobody consumes."""
    queue = await numbered(line, 250)
    first, second = await line.take(queue, 100), await line.take(queue, 100)
    assert numbers([*first, *second]) == list(range(200))
    await holds(line, queue, 50)
    for delivery in (*second[::2], *reversed(first), *second[1::2]):
        assert (delivery.queue, delivery.redelivered) == (queue, False)
        await delivery.ack()
    third = await line.take(queue, 100)
    assert numbers(third) == list(range(200, 250))
    for delivery in third:
        await delivery.ack()
    with trio.fail_after(PATIENCE_SECONDS):
        while await line.depth(queue) != QueueFacts(messages=0, consumers=0):
            await trio.lowlevel.checkpoint()


async def test_fewer_come_where_there_are_no_more(line):
    """Not one of an empty queue, and nothing is waited for."""
    queue = await numbered(line, 3)
    with trio.fail_after(PATIENCE_SECONDS / 2):
        assert numbers(await line.take(queue, 10)) == [0, 1, 2]
        assert list(await line.take(queue, 10)) == []


async def test_what_is_not_acknowledged_comes_again(bridge, rabbitmq, line):
    """It alone, though messages before and after it were acknowledged at once."""
    queue = await numbered(line, 10)
    async with open_line(rabbitmq.url()) as other:
        taken = await other.take(queue, 10)
        for delivery in taken:
            if delivery.body not in (b"0", b"4"):
                await delivery.ack()
        await taken[4].requeue()
        await holds(line, queue, 1)
        [again] = await other.take(queue, 1)
        assert (again.body, again.redelivered) == (b"4", True)
    await holds(line, queue, 2)
    assert sorted(await drain(line, queue)) == [b"0", b"4"]


async def test_takes_at_once_take_each_message_once(line):
    """More of them than there are channels."""
    queue = await numbered(line, 500)
    found = []

    async def take() -> None:
        while deliveries := await line.take(queue, 20):
            for delivery in deliveries:
                await delivery.ack()
            found.extend(numbers(deliveries))

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(take)
    assert sorted(found) == list(range(500))


async def test_an_absent_queue_is_unavailable_and_harms_no_later_take(line):
    """What was taken before can still be acknowledged."""
    queue = await numbered(line, 2)
    taken = await line.take(queue, 2)
    for _ in range(3):
        with pytest.raises(Unavailable, match="no queue 'absent'"):
            await line.take("absent", 10)
    await taken[0].requeue()
    await holds(line, queue, 1)
    assert line.status.serving


async def test_a_take_cancelled_at_any_moment_gives_back_what_came(line):
    """Nothing that it had under way is lost or kept."""
    queue = await numbered(line, 20)

    async def take() -> None:
        taken = await line.take(queue, 7)
        with trio.CancelScope(shield=True):  # from here on they are this task's
            for delivery in taken:
                await delivery.requeue()

    for steps in range(0, 80, 4):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert sorted(map(int, await gathered(line, queue, 20))) == list(range(20))


async def test_a_queue_deleted_while_it_is_taken_from_hangs_nobody(line, rabbitmq):
    """What came is void; a later take knows that the queue is absent.

    RabbitMQ 3.10 may break down over it and close the connection (541): then it is made anew.
    """
    queue = await numbered(line, 50)

    async def take_for_ever() -> None:
        while True:
            for delivery in await line.take(queue, 10):
                await delivery.requeue()

    async def refusal() -> str:
        try:
            await take_for_ever()
        except Unavailable as error:
            return error.detail
        raise AssertionError("unreachable")

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, rabbitmq.control, "delete_queue", queue)
            while f"no queue {queue!r}" not in await refusal():
                await until(line, lambda status: status.serving)
    await until(line, lambda status: status.serving)
