"""The queues pass their suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import structlog
from brokers.declaring import declare
from processes.ports import free_port

from hermesd.bridge.amqp_line import LineTerms, open_broker_line
from hermesd.bridge.loop import open_bridge
from hermesd.core.amqp_names import NamePatterns, Names
from hermesd.core.broker import PublishFate
from hermesd.core.errors import StoreUnavailable
from hermesd.core.job import Job, Rung
from hermesd.queues.amqp import AmqpQueue
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.queues.messages import MessageCodec
from hermesd.queues.topology import topology_of
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import JobQueueConformance
from hermesd.testing.memory import MemoryJobs, MemoryStore
from hermesd.testing.memory_contents import Contents
from hermesd.testing.memory_queue import MemoryQueue

pytest.register_assert_rewrite("hermesd.testing.conformance.queue")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> MemoryStore:
    """The store behind the queue."""
    return MemoryStore(clock)


class TestEmbeddedQueue(JobQueueConformance):
    """The store as the queue."""

    @pytest.fixture
    async def queue(self, store: MemoryStore) -> EmbeddedQueue:
        """Over the store of the test."""
        return EmbeddedQueue(store.jobs)


class TestMemoryQueue(JobQueueConformance):
    """The fake."""

    @pytest.fixture
    async def queue(self) -> MemoryQueue:
        """A fake of the store's rung."""
        return MemoryQueue()


class TestAmqpQueue(JobQueueConformance):
    """A real RabbitMQ, with the store as its outbox."""

    @pytest.fixture
    async def queue(self, store: MemoryStore, rabbitmq: Any) -> AsyncIterator[AmqpQueue]:
        """Over the store of the test, with its queues declared."""
        names = Names.of("conformance", NamePatterns())
        terms = LineTerms(call_timeout_seconds=60.0)
        log = structlog.get_logger()
        async with open_bridge(), open_broker_line(rabbitmq.url(), terms, log=log) as line:
            while not line.status.serving:
                await line.changed()
            await declare(line, topology_of(names, ["default"]))
            codec = MessageCodec(names.exchange, 10_000)
            queue = AmqpQueue(store.jobs, line, codec, "s", lambda fate, number: None)
            queue.declared()
            yield queue


async def test_the_broker_is_the_rung_while_it_takes_messages(store: MemoryStore) -> None:
    """Else jobs wait in the store, and the reason is told."""
    fates: list[tuple[PublishFate, int]] = []

    def told(fate: PublishFate, number: int) -> None:
        fates.append((fate, number))

    job = Job(id="j", type="t", payload=msgspec.Raw(b"{}"))
    large = Job(id="l", type="t", payload=msgspec.Raw(b'"' + b"x" * 3000 + b'"'))
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    terms = LineTerms(call_timeout_seconds=60.0)
    async with open_bridge(), open_broker_line(url, terms, log=structlog.get_logger()) as line:
        queue = AmqpQueue(store.jobs, line, MessageCodec("e", 2000), "s", told)
        assert queue.rung is Rung.STORE
        assert (await queue.status()).reason == line.status.reason
        assert list(await queue.offer([large, job])) == [False, False]
        assert fates == [(PublishFate.REFUSED, 1)]


class _DownJobs(MemoryJobs):
    """A store that does not answer."""

    async def next_due(self) -> float | None:
        raise StoreUnavailable("the disk is gone")


async def test_the_embedded_queue_is_the_last_rung(store: MemoryStore) -> None:
    """Below it there is nothing."""
    assert EmbeddedQueue(store.jobs).rung is Rung.STORE


async def test_the_embedded_queue_serves_only_if_the_store_answers(clock: ManualClock) -> None:
    """Its status gives the store's reason."""
    jobs = _DownJobs(Contents(store_id="down"), clock)
    status = await EmbeddedQueue(jobs).status()
    assert (status.serving, status.reason) == (False, "the disk is gone")


async def test_a_fake_out_of_service_takes_nothing(clock: ManualClock) -> None:
    """Until it recovers."""
    queue = MemoryQueue(Rung.AMQP)
    queue.fail("down")
    assert not (await queue.status()).serving
    queue.recover()
    assert (await queue.status()).serving
