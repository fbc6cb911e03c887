"""An api with a real broker beside it, and what tests do at the broker by themselves."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from brokers.declaring import declare

from agents.world import Api, open_api, until
from hermesd.api.amqp import AmqpAgents
from hermesd.api.brokerside import BrokerSide
from hermesd.bridge.amqp_line import BrokerLine, LineTerms, open_broker_line
from hermesd.bridge.loop import open_bridge
from hermesd.core.amqp_names import Band, NamePatterns, Names
from hermesd.core.job import Job, Token
from hermesd.core.messages import JobMessage, OutcomeMessage
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Claim
from hermesd.ports import Delivery
from hermesd.queues.amqp import AmqpQueue
from hermesd.queues.messages import MessageCodec, stamp_of
from hermesd.queues.topology import topology_of
from hermesd.testing.memory import MemoryStore

PATIENCE_SECONDS = 150.0
_numbers = itertools.count()


@dataclass
class Brokered:
    """An api, its line, and a namespace of its own at the broker."""

    api: Api
    line: BrokerLine
    names: Names
    codec: MessageCodec
    queue: AmqpQueue

    @property
    def agents(self) -> AmqpAgents:
        """The agents under test."""
        assert self.api.agents.amqp is not None
        return self.api.agents.amqp

    async def declared(self) -> None:
        """The topology is there, and the queue knows."""
        await declare(self.line, topology_of(self.names, ["default"]))
        self.queue.declared()

    async def offered(self) -> None:
        """One pass of the feeder and of the offerer over what waits."""
        await self.api.agents.feeder.run_once()
        await self.agents.offerer.run_once()

    async def ready(self, queue: str, number: int) -> None:
        """Wait until so many messages are ready there."""

        seen: list[object] = []

        async def holds() -> bool:
            facts = await self.line.depth(queue)
            seen[:] = [facts]
            return facts is not None and facts.messages == number

        try:
            await until(holds, f"{number} messages in {queue}", PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {seen}") from error

    async def message(self, queue: str) -> Delivery:
        """Wait for a message there, and take it."""
        found: list[Delivery] = []

        async def comes() -> bool:
            delivery = await self.line.get(queue)
            if delivery is not None:
                found.append(delivery)
            return delivery is not None

        await until(comes, f"a message in {queue}", PATIENCE_SECONDS)
        return found[0]

    async def job_message(self, band: Band = Band.NORMAL) -> tuple[Delivery, JobMessage]:
        """Take a job's message."""
        delivery = await self.message(self.names.queue_of("default", band))
        return delivery, self.codec.decode_job(delivery.body)

    def claim(self, token: Token, worker: str = "w1") -> Claim:
        """The claim of a worker that has this message."""
        return Claim(
            store_id=self.api.state.store_id,
            token=token,
            worker_id=worker,
            incarnation=f"{worker}.1",
        )

    async def publish_outcome(
        self, token: Token, worker: str = "w1", kind: OutcomeKind = OutcomeKind.SUCCEEDED
    ) -> None:
        """As a worker that no api answers."""
        message = OutcomeMessage(
            store_id=self.api.state.store_id,
            worker_id=worker,
            incarnation=f"{worker}.1",
            outcome=Outcome(token=token, kind=kind, result=b"1", started_at=1.0, finished_at=2.0),
        )
        await self.line.publish([self.codec.encode_outcome(message)])

    async def job(self, job: Job) -> Job:
        """The job as the store has it."""
        return await self.api.job(job.id)


@asynccontextmanager
async def open_brokered(
    url: str,
    settings: Mapping[str, Any] | None = None,
    *,
    store: MemoryStore | None = None,
    namespace: str = "",
    away: bool = False,
) -> AsyncIterator[Brokered]:
    """An api whose agents do not run yet; `away`: nothing answers at `url`."""
    namespace = namespace or f"agents{os.getpid()}-{next(_numbers)}"
    names = Names.of(namespace, NamePatterns())
    codec = MessageCodec(names.exchange, 100_000)
    terms = LineTerms(call_timeout_seconds=PATIENCE_SECONDS)
    queue = {"kind": "amqp", "url": url, "namespace": namespace}
    config = {**(settings or {}), "queue": {**queue, **(settings or {}).get("queue", {})}}
    made: list[AmqpQueue] = []
    async with (
        open_bridge(),
        open_broker_line(url, terms, log=structlog.get_logger()) as line,
    ):
        while not away and not line.status.serving:
            await line.changed()
        side = partial(_side, line, names, codec, made)
        async with open_api(config, store=store, side=side) as api:
            yield Brokered(api, line, names, codec, made[0])


def _side(
    line: BrokerLine, names: Names, codec: MessageCodec, made: list[AmqpQueue], *told: Any
) -> tuple[AmqpQueue, BrokerSide]:
    queue = AmqpQueue(told[0], line, codec, told[1], told[2])
    made.append(queue)
    side = BrokerSide(
        broker=line,
        names=names,
        topology=partial(topology_of, names),
        messages=codec,
        stamp_of=stamp_of,
        fault=queue.reason,
        declared=queue.declared,
        misrouted=queue.misrouted,
    )
    return queue, side
