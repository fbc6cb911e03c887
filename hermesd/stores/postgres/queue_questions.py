"""What is asked about jobs that wait: in the store, for their time, at the broker."""

from __future__ import annotations

from typing import Final

from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Token
from hermesd.core.records import BrokerRange, Head, Waiting
from hermesd.core.states import State
from hermesd.stores.micros import micros, seconds_or_none
from hermesd.stores.postgres.connection import BoundedConnection
from hermesd.stores.postgres.words import by_ids
from hermesd.stores.rows import to_job

# For each pair its best, by the index; then the best of all. A payload's size stands in its row.
WAITING: Final = (
    "SELECT best.id, best.priority, best.order_key, best.size "
    "FROM unnest(%s::text[], %s::text[]) AS pair (queue, type) CROSS JOIN LATERAL "
    "(SELECT id, priority, order_key, octet_length(payload) AS size "
    "FROM jobs WHERE state = 'queued' AND owner = 'store' "
    "AND jobs.queue = pair.queue AND jobs.type = pair.type "
    "ORDER BY priority DESC, order_key LIMIT %s) AS best ORDER BY 2 DESC, 3 LIMIT %s"
)
NEXT_DUE: Final = "SELECT min(run_us) FROM jobs WHERE state = 'scheduled'"
HAS_ORPHANS: Final = (
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND NOT EXISTS "
    "(SELECT 1 FROM incarnations AS living "
    "WHERE living.incarnation = jobs.incarnation AND living.fenced = 0))"
)
# What a broker owns is queued: that need not be asked, so that the index alone can answer.
AT_BROKER: Final = (
    "SELECT found.id, found.lease FROM generate_series(%s::int, %s::int) AS band (priority) "
    "CROSS JOIN LATERAL (SELECT id, lease, published_us FROM jobs WHERE owner = 'amqp' "
    "AND jobs.queue = %s AND jobs.priority = band.priority AND published_us < %s "
    "ORDER BY published_us, id LIMIT %s) AS found ORDER BY found.published_us, found.id LIMIT %s"
)
COUNT_AT_BROKER: Final = (
    "SELECT queue, priority, count(*) FROM jobs WHERE owner = 'amqp' "
    "AND published_us < %s GROUP BY queue, priority"
)


def waiting(wanted: Waiting, connection: BoundedConnection) -> Head:
    """Queued jobs of the store, highest priority first, then by their place."""
    pairs = list(dict.fromkeys(wanted.pairs))
    queues, types = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    values = (queues, types, wanted.limit, wanted.limit)
    best = connection.execute(WAITING, values).fetchall()
    fitting = wanted.fitting([size for *_, size in best])
    rows = by_ids([job_id for job_id, *_ in best[:fitting]], connection)
    # A job that left between the two queries is not waiting any more.
    rows = [row for row in rows if row.state is State.QUEUED]
    rows.sort(key=lambda row: (-row.priority, row.order_key))
    return Head(jobs=[to_job(row) for row in rows], everything=fitting == len(best) < wanted.limit)


def next_due(connection: BoundedConnection) -> float | None:
    """When the earliest scheduled job is due, in UTC seconds."""
    ((run_us,),) = connection.execute(NEXT_DUE).fetchall()
    return seconds_or_none(run_us)


def has_orphans(connection: BoundedConnection) -> bool:
    """Whether a running job's incarnation is fenced or absent."""
    ((found,),) = connection.execute(HAS_ORPHANS).fetchall()
    return bool(found)


def with_broker(wanted: BrokerRange, connection: BoundedConnection) -> list[Token]:
    """By the time of publishing."""
    lowest = max(wanted.lowest, LOWEST_PRIORITY)
    highest = min(wanted.highest, HIGHEST_PRIORITY)
    before, limit = micros(wanted.published_before), wanted.limit
    values = (lowest, highest, wanted.queue, before, limit, limit)
    return [Token(*found) for found in connection.execute(AT_BROKER, values)]


def broker_counts(before_us: int, connection: BoundedConnection) -> dict[tuple[str, int], int]:
    """By queue and priority."""
    rows = connection.execute(COUNT_AT_BROKER, (before_us,))
    return {(queue, priority): number for queue, priority, number in rows}
