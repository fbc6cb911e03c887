"""The line to a message broker, against a real RabbitMQ that is well."""

from __future__ import annotations

import pytest
import structlog
import trio
from bridge.amqp_lines import (
    PATIENCE_SECONDS,
    QUORUM,
    drain,
    gathered,
    holds,
    messages,
    new_queue,
    open_line,
    publish,
    topology,
    until,
)

from hermesd.core.broker import (
    Binding,
    BrokerQueue,
    Exchange,
    Found,
    Message,
    Presence,
    PublishFate,
    QueueFacts,
)
from hermesd.core.errors import AccessRefused, InvalidValue, Unavailable

CONFIRMED, RETURNED, REFUSED = (
    PublishFate.CONFIRMED,
    PublishFate.RETURNED,
    PublishFate.REFUSED,
)


@pytest.fixture
async def line(bridge, rabbitmq):
    async with open_line(rabbitmq.url()) as opened:
        yield opened


async def test_what_is_published_is_got_as_it_was(line):
    """Body and headers; once acknowledged it is gone."""
    queue = await new_queue(line)
    message = Message(
        exchange="",
        routing_key=queue,
        body=b"\x00body",
        headers={"text": "é", "number": 2**40, "flag": True},
        message_id="m1",
        type="demo.echo",
    )
    assert await line.publish([message]) == [CONFIRMED]
    delivery = await line.get(queue)
    assert (delivery.queue, delivery.body, delivery.redelivered) == (queue, b"\x00body", False)
    assert {"text": "é", "number": 2**40, "flag": True}.items() <= delivery.headers.items()
    await delivery.ack()
    assert await line.get(queue) is None
    # To a quorum queue a get is a consumer too, for the moment.
    with trio.fail_after(PATIENCE_SECONDS):
        while await line.depth(queue) != QueueFacts(messages=0, consumers=0):
            pass


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 1_000_000])
async def test_bodies_of_any_size_arrive(line, size):
    """One over the largest frame goes in several."""
    queue = await new_queue(line)
    await publish(line, queue, bytes(size))
    assert await drain(line, queue) == [bytes(size)]


async def test_each_message_of_a_call_has_its_own_fate(line):
    """Returned ones are told from confirmed ones, in the order of the call."""
    queue = await new_queue(line)
    batch = messages(queue, [b"%d" % i for i in range(300)])
    batch[7:8] = messages("nowhere", [b"lost"])
    batch[299:] = messages("nowhere", [b"lost"])
    fates = await line.publish(batch)
    assert [i for i, fate in enumerate(fates) if fate is RETURNED] == [7, 299]
    assert fates.count(CONFIRMED) == 298
    assert await drain(line, queue) == [b"%d" % i for i in range(299) if i != 7]
    assert await line.publish([]) == []


async def test_a_full_queue_refuses(line):
    """Negatively acknowledged ones are told from those that are returned."""
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await line.declare(topology(BrokerQueue(name="full", arguments=arguments)))
    fates = await line.publish(messages("full", [b"1", b"2", b"3"]) + messages("nowhere", [b"4"]))
    assert fates == [CONFIRMED, REFUSED, REFUSED, RETURNED]


async def test_more_than_may_be_under_way_waits_for_room(bridge, rabbitmq):
    """Many calls share little room, by number and by bytes, and all is confirmed."""
    async with open_line(rabbitmq.url(), unconfirmed_messages=7, unconfirmed_bytes=500) as line:
        queue = await new_queue(line)

        async def call() -> None:
            await publish(line, queue, *[b"x" * 100] * 20)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(call)
        assert len(await drain(line, queue)) == 200


async def test_a_publish_to_an_absent_exchange_harms_no_later_one(line):
    """Its channel is closed by the broker; what it has of that call is not known."""
    queue = await new_queue(line)
    absent = Message(exchange="absent", routing_key="x", body=b"", headers={})
    assert await line.publish([absent]) == [PublishFate.UNKNOWN]
    await publish(line, queue, b"next")


@pytest.mark.parametrize(
    "bad",
    [
        Message(exchange="", routing_key="x" * 256, body=b"", headers={}),
        Message(exchange="", routing_key="q", body=b"", headers={"n": 2**70}),
        Message(exchange="\0", routing_key="q", body=b"", headers={}),
    ],
)
async def test_a_message_that_amqp_cannot_carry_is_the_callers_fault(line, bad):
    """Then nothing of the call is published."""
    queue = await new_queue(line)
    with pytest.raises(InvalidValue):
        await line.publish([*messages(queue, [b"good"]), bad])
    assert await line.get(queue) is None


async def test_gets_at_once_take_each_message_once(line):
    """More of them than there are channels."""
    queue = await new_queue(line)
    await publish(line, queue, *[b"%d" % i for i in range(100)])
    bodies = []

    async def take() -> None:
        bodies.extend(await drain(line, queue))

    async with trio.open_nursery() as nursery:
        for _ in range(16):
            nursery.start_soon(take)
    assert sorted(map(int, bodies)) == list(range(100))


async def test_of_gets_at_once_each_is_acknowledged_for_itself(bridge, rabbitmq):
    """Those of one channel, in whatever order their callers wake up; the first one is kept."""
    async with open_line(rabbitmq.url(), get_channels=1) as line:
        queue = await new_queue(line)
        for _ in range(10):
            await publish(line, queue, *[b"%d" % i for i in range(8)])
            taken = {}

            async def take(taken=taken) -> None:
                delivery = await line.get(queue)
                taken[delivery.body] = delivery

            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(take)
            for body in taken.keys() - {b"0"}:
                await taken[body].ack()
            await line.depth(queue)  # the acknowledgements are on their way
            await taken[b"0"].requeue()
            assert await gathered(line, queue, 1) == [b"0"]
        assert line.status.serving


async def test_requeued_and_rejected_messages_go_where_they_should(line):
    """Back to the queue, or to the dead letters."""
    dead = await new_queue(line)
    dead_letters = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": dead}
    queue = await new_queue(line, **dead_letters)
    await publish(line, queue, b"body")
    first = await line.get(queue)
    await first.requeue()
    await first.ack()  # only the first counts
    await holds(line, queue, 1)
    second = await line.get(queue)
    assert second.redelivered
    await second.reject()
    await holds(line, dead, 1)
    assert await line.get(queue) is None


async def test_consumed_messages_come_within_the_prefetch(line):
    """No more are handed out than that; leaving gives back what was not acknowledged."""
    queue = await new_queue(line)
    await publish(line, queue, *[b"%d" % i for i in range(10)])
    async with line.consume(queue, 3) as deliveries:
        first = await anext(deliveries)
        await first.ack()
        assert first.body == b"0"
        await holds(line, queue, 6)
        with trio.fail_after(PATIENCE_SECONDS):
            while (await line.depth(queue)).consumers != 1:
                await trio.lowlevel.checkpoint()
        second = await anext(deliveries)
    await holds(line, queue, 9)
    with pytest.raises(Unavailable):
        await second.ack()
    assert sorted(await drain(line, queue)) == [b"%d" % i for i in range(1, 10)]


async def test_a_queue_deleted_under_its_consumer_ends_the_iteration(line, rabbitmq):
    """With Unavailable, and the line serves on."""
    queue = await new_queue(line)
    async with line.consume(queue, 3) as deliveries:
        rabbitmq.control("delete_queue", queue)
        with trio.fail_after(PATIENCE_SECONDS), pytest.raises(Unavailable, match=queue):
            await anext(deliveries)
    assert await line.depth(queue) is None


async def test_an_absent_queue_is_unavailable_and_harms_nobody(line):
    """For get and consume; depth knows the word for it."""
    queue = await new_queue(line)
    for _ in range(3):
        with pytest.raises(Unavailable, match="no queue 'absent'"):
            await line.get("absent")
        with pytest.raises(Unavailable, match="no queue 'absent'"):
            async with line.consume("absent", 1):
                pass
        assert await line.depth("absent") is None
        assert await line.get(queue) is None
    assert line.status.serving


async def test_many_questions_about_absent_queues_share_the_line(line):
    """The broker answers each by closing a channel."""
    answers = []

    async def ask() -> None:
        answers.append(await line.depth("absent"))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    assert answers == [None] * 100
    assert line.status.connected


async def test_a_topology_is_declared_once_and_found_again(line):
    """Bindings too; what a second declaration finds is the same."""
    wanted = topology(
        BrokerQueue(name="topology-queue", arguments=QUORUM),
        exchanges=[Exchange(name="topology-exchange")],
        bindings=[Binding(exchange="topology-exchange", queue="topology-queue", routing_key="key")],
    )
    names = [("exchange", "topology-exchange"), ("queue", "topology-queue")]

    def found(presence: Presence) -> list[Found]:
        return [Found(what=what, name=name, presence=presence) for what, name in names]

    assert await line.inspect(wanted) == found(Presence.ABSENT)
    assert await line.inspect(wanted) == found(Presence.ABSENT)
    assert await line.declare(wanted) == found(Presence.CREATED)
    assert await line.declare(wanted) == found(Presence.SAME)
    assert await line.inspect(wanted) == found(Presence.SAME)
    message = Message(exchange="topology-exchange", routing_key="key", body=b"x", headers={})
    assert await line.publish([message]) == [CONFIRMED]


async def test_what_exists_with_other_arguments_is_left_alone_and_told(line):
    """Which argument it is, what there is and what is wanted."""
    await line.declare(
        topology(
            BrokerQueue(name="other", arguments={"x-max-length": 5}),
            exchanges=[Exchange(name="other")],
        )
    )
    wanted = topology(
        BrokerQueue(name="other", arguments={"x-max-length": 6}),
        BrokerQueue(name="after"),
        exchanges=[Exchange(name="other", kind="topic")],
    )
    for found in (await line.inspect(wanted), await line.declare(wanted)):
        assert [each.presence for each in found[:2]] == [Presence.DIFFERENT] * 2
        assert [each.detail for each in found[:2]] == [
            "type: have direct, want topic",
            "x-max-length: have 5, want 6",
        ]
    assert found[2].presence is Presence.CREATED
    quorum = topology(BrokerQueue(name="after", arguments=QUORUM))
    [found] = await line.inspect(quorum)
    assert found.detail == "x-queue-type: have none, want quorum"
    limited = topology(BrokerQueue(name="after", arguments={"x-max-length": 6}))
    [found] = await line.inspect(limited)
    assert found.detail == "x-max-length: have none, want 6"


async def test_what_the_user_may_not_do_is_refused(line, bridge, rabbitmq):
    """By AccessRefused, while the line serves on."""
    queue = await new_queue(line)
    rabbitmq.control("add_user", "reader", "reader")
    rabbitmq.control("set_permissions", "-p", "/", "reader", "^$", "^$", ".*")
    async with open_line(rabbitmq.url("reader:reader")) as reader:
        with pytest.raises(AccessRefused, match="refused"):
            await reader.declare(topology(BrokerQueue(name="new")))
        assert await reader.publish(messages(queue, [b"x"])) == [PublishFate.UNKNOWN]
        assert await reader.get(queue) is None
        assert reader.status.connected


@pytest.mark.parametrize("name", ["", "x" * 256, "nul\0", "é"])
async def test_what_cannot_name_a_queue_is_the_callers_fault(line, name):
    """Whatever is asked of it."""
    for call in (line.get, line.depth):
        with pytest.raises(InvalidValue, match="name"):
            await call(name)
    with pytest.raises(InvalidValue, match="name"):
        async with line.consume(name, 1):
            pass


async def test_a_call_cancelled_at_any_moment_leaves_the_line_usable(line):
    """Nothing that it had under way is lost or kept."""
    queue = await new_queue(line)
    await publish(line, queue, *[b"%d" % i for i in range(20)])

    async def get() -> None:
        delivery = await line.get(queue)
        await delivery.requeue()

    async def consume() -> None:
        async with line.consume(queue, 5) as deliveries:
            await anext(deliveries)

    async def ask() -> None:
        await line.depth(queue)

    async def ask_for_absent() -> None:
        await line.depth("absent")

    async def declare() -> None:
        await line.declare(topology(BrokerQueue(name=queue, arguments=QUORUM)))

    async def send() -> None:
        await line.publish(messages("nowhere", [b"x"] * 3))

    for steps in range(0, 40, 2):
        for call in (get, consume, ask, ask_for_absent, declare, send):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
    assert sorted(map(int, await gathered(line, queue, 20))) == list(range(20))
    assert (await until(line, lambda _: True)).serving


async def test_a_line_that_is_left_is_not_told_to_be_lost(bridge, rabbitmq):
    """Whoever closes it knows."""
    with structlog.testing.capture_logs() as logs:
        async with open_line(rabbitmq.url()):
            pass
    assert [each["event"] for each in logs] == ["broker_connected"] * 2
