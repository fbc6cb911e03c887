"""The queues pass their suite."""

from __future__ import annotations

import pytest

from hermesd.core.errors import StoreUnavailable
from hermesd.core.job import Rung
from hermesd.queues.embedded import EmbeddedQueue
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
