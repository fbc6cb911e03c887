"""The topology, as it is planned and as a real RabbitMQ takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog
from brokers.declaring import declare

from hermesd.bridge.amqp_line import BrokerLine, LineTerms, open_broker_line
from hermesd.bridge.loop import open_bridge
from hermesd.core.amqp_names import Band, NamePatterns, Names, band_of, routing_key
from hermesd.core.broker import BrokerQueue, Message, Presence, PublishFate, Topology
from hermesd.core.fleet import DispatchItem
from hermesd.core.job import Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.queues.messages import JobMessage, MessageCodec, OutcomeMessage, Stamp, stamp_of
from hermesd.queues.topology import DELIVERY_LIMIT, topology_of

PATIENCE_SECONDS = 150.0
STAMP = Stamp(store_id="s", token=Token("j", 4))


def test_each_priority_has_its_band() -> None:
    """10, 7 to 9, 3 to 6, 0 to 2."""
    bands = [band_of(priority).value for priority in range(11)]
    assert bands == ["background"] * 3 + ["normal"] * 4 + ["high"] * 3 + ["critical"]


def test_names_follow_the_namespace_and_the_patterns() -> None:
    """Each can be chosen; a queue may be called like a placeholder."""
    names = Names.of("ns", NamePatterns(dead_letter_queue="morgue", queue="{band}/{queue}"))
    assert (names.exchange, names.dead_letter_queue) == ("ns.jobs", "morgue")
    assert names.queue_of("mail", Band.HIGH) == "high/mail"
    assert Names.of("ns", NamePatterns()).queue_of("mail", Band.HIGH) == "ns.mail.high"


def test_each_queue_is_bound_once_and_every_dead_letter_has_a_place() -> None:
    """Whatever leaves a queue unwanted is routed to another one, and comes to rest in the last."""
    topology = topology_of(Names.of("ns", NamePatterns()), ["default", "mail"])
    routes = {(each.exchange, each.routing_key): each.queue for each in topology.bindings}
    assert sorted(routes.values()) == sorted(queue.name for queue in topology.queues)
    assert len(routes) == 2 * len(Band) + 3
    assert routes["ns.jobs", routing_key("mail", Band.NORMAL)] == "ns.mail.normal"
    assert routes["ns.jobs", "outcomes"] == "ns.outcomes"
    for queue in topology.queues:
        path = [queue.name]
        while letters := dead_letters(topology, path[-1]):
            path.append(routes[letters])
        assert path[-1] == "ns.dlq"
        assert "ns.returned" in path or queue.name in ("ns.outcomes", "ns.dlq")


def dead_letters(topology: Topology, name: str) -> tuple[str, str] | None:
    (queue,) = [queue for queue in topology.queues if queue.name == name]
    exchange = queue.arguments.get("x-dead-letter-exchange")
    return (str(exchange), str(queue.arguments["x-dead-letter-routing-key"])) if exchange else None


@asynccontextmanager
async def serving_line(url: str) -> AsyncIterator[BrokerLine]:
    """A line that is up."""
    terms = LineTerms(call_timeout_seconds=PATIENCE_SECONDS)
    async with (
        open_bridge(),
        open_broker_line(url, terms, log=structlog.get_logger()) as line,
    ):
        while not line.status.serving:
            await line.changed()
        yield line


def job_message(names: Names) -> Message:
    job = DispatchItem(
        id="j",
        lease=4,
        type="t",
        payload=msgspec.Raw(b"{}"),
        queue="default",
        priority=10,
        attempt=1,
        max_attempts=1,
        timeout=1.0,
    )
    message = JobMessage(store_id="s", enqueued_at=1.0, job=job)
    return MessageCodec(names.exchange, 1000).encode_job(message)


def outcome_message(names: Names) -> Message:
    outcome = Outcome(token=STAMP.token, kind=OutcomeKind.SUCCEEDED)
    message = OutcomeMessage(store_id="s", worker_id="w", incarnation="i", outcome=outcome)
    return MessageCodec(names.exchange, 1000).encode_outcome(message)


async def test_a_broker_takes_it_once_and_for_all(rabbitmq: Any) -> None:
    """Declaring again finds all the same; another argument is told and changes nothing."""
    names = Names.of("declared", NamePatterns())
    topology = topology_of(names, ["default"])
    async with serving_line(rabbitmq.url()) as line:
        assert {found.presence for found in await line.inspect(topology)} == {Presence.ABSENT}
        assert {found.presence for found in await line.declare(topology)} == {Presence.CREATED}
        assert {found.presence for found in await line.declare(topology)} == {Presence.SAME}
        assert {found.presence for found in await line.inspect(topology)} == {Presence.SAME}
        for queue in topology.queues:
            for name in queue.arguments:
                less = {key: value for key, value in queue.arguments.items() if key != name}
                other = BrokerQueue(name=queue.name, arguments=less)
                (found,) = await line.inspect(Topology(exchanges=(), queues=(other,), bindings=()))
                assert found.presence is Presence.DIFFERENT
                assert name in found.detail


async def test_what_is_rejected_goes_down_to_the_dead_letter_queue(rabbitmq: Any) -> None:
    """A job by way of the returned ones, an outcome at once; the headers stay."""
    names = Names.of("rejected", NamePatterns())
    async with serving_line(rabbitmq.url()) as line:
        await declare(line, topology_of(names, ["default"]))
        for message, path in (
            (job_message(names), (names.queue_of("default", Band.CRITICAL), names.returned)),
            (outcome_message(names), (names.outcomes,)),
        ):
            assert list(await line.publish([message])) == [PublishFate.CONFIRMED]
            for queue in path:
                async with line.consume(queue, 1) as deliveries:
                    delivery = await anext(deliveries)
                    assert (delivery.body, stamp_of(delivery.headers)) == (message.body, STAMP)
                    await delivery.reject()
            async with line.consume(names.dead_letter_queue, 1) as deliveries:
                delivery = await anext(deliveries)
                assert (delivery.body, stamp_of(delivery.headers)) == (message.body, STAMP)
                await delivery.ack()


async def test_a_job_that_went_back_too_often_is_given_up(rabbitmq: Any) -> None:
    """It is among the returned ones then, and the broker says why."""
    names = Names.of("limited", NamePatterns())
    async with serving_line(rabbitmq.url()) as line:
        await declare(line, topology_of(names, ["default"]))
        await line.publish([job_message(names)])
        async with line.consume(names.queue_of("default", Band.CRITICAL), 1) as deliveries:
            for _ in range(DELIVERY_LIMIT + 1):
                await (await anext(deliveries)).requeue()
        async with line.consume(names.returned, 1) as deliveries:
            delivery = await anext(deliveries)
            assert stamp_of(delivery.headers) == STAMP
            assert delivery.headers["x-first-death-reason"] == "delivery_limit"
            await delivery.ack()


async def test_an_outcome_is_never_given_up_by_itself(rabbitmq: Any) -> None:
    """However often an api without a store hands it back."""
    names = Names.of("patient", NamePatterns())
    async with serving_line(rabbitmq.url()) as line:
        await declare(line, topology_of(names, ["default"]))
        await line.publish([outcome_message(names)])
        async with line.consume(names.outcomes, 1) as deliveries:
            for _ in range(3 * DELIVERY_LIMIT):
                await (await anext(deliveries)).requeue()
            await (await anext(deliveries)).ack()


async def test_a_job_of_an_undeclared_queue_comes_back(rabbitmq: Any) -> None:
    """It is not lost in the exchange."""
    names = Names.of("undeclared", NamePatterns())
    async with serving_line(rabbitmq.url()) as line:
        await declare(line, topology_of(names, ["other"]))
        assert list(await line.publish([job_message(names)])) == [PublishFate.RETURNED]
