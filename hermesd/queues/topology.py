"""What must exist in the broker: one exchange for jobs, its queues, and where dead letters go.

    exchange ─ <queue>.<band> ─► a queue for each named queue and band
             └ outcomes ───────► outcomes
    jobs that are rejected or given up ─► dead letter exchange ─ returned ─► returned
    what is rejected there, and outcomes ─► dead letter exchange ─ dead ───► dead letter queue

Outcomes go through the same exchange as jobs, so that a user needs leave to write to it alone. All
queues are quorum queues that refuse what they cannot hold, and move dead letters at least once: a
message leaves its queue only when the next one has confirmed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hermesd.core.amqp_names import (
    DEAD_KEY,
    OUTCOMES_KEY,
    RETURNED_KEY,
    Band,
    Names,
    routing_key,
)
from hermesd.core.broker import Argument, Binding, BrokerQueue, Exchange, Topology

# A job's message that went back so often is given up; its row in the store makes another.
DELIVERY_LIMIT: Final = 20
# Nothing makes another outcome, a store may be away for long, and people look at dead letters by
# getting and requeueing them; without a limit of its own a queue has one of 20 (RabbitMQ, 4.0 on).
PATIENT_LIMIT: Final = 1_000_000


def topology_of(names: Names, queues: Iterable[str]) -> Topology:
    """The topology for the named queues `queues`."""
    given_up = _dying(names, RETURNED_KEY, DELIVERY_LIMIT)
    useless = _dying(names, DEAD_KEY, PATIENT_LIMIT)
    jobs = {
        routing_key(queue, band): BrokerQueue(name=names.queue_of(queue, band), arguments=given_up)
        for queue in queues
        for band in Band
    }
    dead = BrokerQueue(name=names.dead_letter_queue, arguments=_quorum(PATIENT_LIMIT))
    returned = BrokerQueue(name=names.returned, arguments=useless)
    outcomes = BrokerQueue(name=names.outcomes, arguments=useless)
    routes = (
        (names.dead_letter_exchange, DEAD_KEY, dead),
        (names.dead_letter_exchange, RETURNED_KEY, returned),
        (names.exchange, OUTCOMES_KEY, outcomes),
        *((names.exchange, key, queue) for key, queue in jobs.items()),
    )
    return Topology(
        exchanges=(Exchange(name=names.dead_letter_exchange), Exchange(name=names.exchange)),
        queues=tuple(queue for _, _, queue in routes),
        bindings=tuple(
            Binding(exchange=exchange, queue=queue.name, routing_key=key)
            for exchange, key, queue in routes
        ),
    )


def _quorum(delivery_limit: int) -> dict[str, Argument]:
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-delivery-limit": delivery_limit,
    }


def _dying(names: Names, dead_letter_key: str, delivery_limit: int) -> dict[str, Argument]:
    """At-least-once dead lettering asks for the overflow of `_quorum` (RabbitMQ, 3.10 on)."""
    return {
        **_quorum(delivery_limit),
        "x-dead-letter-exchange": names.dead_letter_exchange,
        "x-dead-letter-routing-key": dead_letter_key,
        "x-dead-letter-strategy": "at-least-once",
    }
