"""The broker: whether it is reached, and whether its queues are as they should be."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.bridge.amqp import open_amqp
from hermesd.bridge.amqp_link import open_link
from hermesd.bridge.amqp_topology import Declarer
from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, skipped, warn
from hermesd.cli.doctor.patient import Patient
from hermesd.config import QueueKind, QueueSection
from hermesd.config.authority import broker_authority
from hermesd.core.amqp_names import Names
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.broker import Found, Presence
from hermesd.core.errors import AccessRefused, ConfigError, HermesError
from hermesd.queues.topology import topology_of

CHECK = "broker"
TOPOLOGY = "broker topology"


async def reached(patient: Patient) -> Findings:
    """Who answers and how fast, and what is absent or differs there."""
    queue = patient.config.queue
    if queue.kind is not QueueKind.AMQP:
        return [skipped(CHECK, f"queue.kind is {queue.kind}: jobs wait in the store")]
    try:
        return [*await _answers(queue), *await _topology(patient)]
    except HermesError as error:
        return [fail(CHECK, error.detail, _remedy(error))]


async def _answers(queue: QueueSection) -> Findings:
    authority = broker_authority(queue)
    async with open_amqp(
        queue.url, call_timeout_seconds=queue.call_timeout_seconds, ssl_context=authority
    ) as connection:
        seconds = await connection.round_trip_seconds()
        broker = connection.broker
    return [ok(CHECK, f"{broker.product} {broker.version}, round trip {seconds * 1000:.1f} ms")]


async def _topology(patient: Patient) -> Findings:
    queue = patient.config.queue
    plan = topology_of(Names.of(queue.namespace, queue.names), patient.config.queues)
    async with open_link(
        AmqpUrl.parse(queue.url),
        heartbeat_seconds=queue.heartbeat_seconds,
        timeout_seconds=queue.call_timeout_seconds,
        ssl_context=broker_authority(queue),
    ) as link:
        found = await Declarer(lambda: link, queue.call_timeout_seconds).inspect(plan)
    return _judged(found)


def _judged(found: Sequence[Found]) -> list[Finding]:
    different = [part for part in found if part.presence is Presence.DIFFERENT]
    absent = [part.name for part in found if part.presence is Presence.ABSENT]
    remedy = "empty it, delete it in the broker, then: hermesd topology apply"
    findings = [
        fail(TOPOLOGY, f"{part.what} {part.name} differs: {part.detail}", remedy)
        for part in different
    ]
    if absent:
        seen = f"absent, until an api declares them at its start: {', '.join(absent)}"
        findings.append(warn(TOPOLOGY, seen, "hermesd topology apply"))
    return findings or [ok(TOPOLOGY, f"exchanges and queues as declared: {len(found)}")]


def _remedy(error: HermesError) -> str:
    if isinstance(error, AccessRefused):
        return "set user, virtual host or password right: queue.url, queue.password_file"
    if isinstance(error, ConfigError):
        return "set queue.url or queue.ca_file right"
    return "start the broker, or set queue.url right; then: hermesd broker check"
