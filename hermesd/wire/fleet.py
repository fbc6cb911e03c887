"""Register, Heartbeat, Deregister and ListWorkers as structs of `core.fleet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hermesd.core.fleet import (
    Deregistration,
    FleetEntry,
    Heartbeat,
    HeartbeatAnswer,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.orders import MAX_REASON_CHARS, OrderKind, WorkerOrder
from hermesd.wire.fields import (
    MAX_LISTED,
    amount,
    at_most,
    bad,
    host_and_port,
    sendable,
    short_text,
)
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.jobtypes import job_type_from_proto, job_type_to_proto
from hermesd.wire.slots import (
    load_from_proto,
    load_to_proto,
    slots_from_proto,
    slots_to_proto,
    view_from_proto,
    view_to_proto,
)
from hermesd.wire.tokens import tokens_from_proto, tokens_to_proto

MAX_REASON_LENGTH: Final = 2_000
MAX_LABELS: Final = 64


def registration_to_proto(registration: Registration) -> pb.RegisterRequest:
    """What a worker presents."""
    return pb.RegisterRequest(
        worker_id=registration.worker_id,
        incarnation=registration.incarnation,
        address=registration.address,
        machine=registration.machine,
        version=registration.version,
        slots=slots_to_proto(registration.slots),
        types=[job_type_to_proto(each) for each in registration.types],
        queues=registration.queues,
        held=tokens_to_proto(registration.held),
        labels=registration.labels,
        pulls=registration.pulls,
        drain_seconds=registration.drain_seconds,
    )


def registration_from_proto(message: pb.RegisterRequest) -> Registration:
    """Ids and the address are required; machine and version may be empty."""
    host_and_port(message.address, "address")
    types = at_most(message.types, "types", MAX_LISTED)
    return Registration(
        worker_id=short_text(message.worker_id, "worker_id"),
        incarnation=short_text(message.incarnation, "incarnation"),
        address=message.address,
        machine=short_text(message.machine, "machine", required=False),
        version=short_text(message.version, "version", required=False),
        slots=slots_from_proto(message.slots, "slots"),
        types=tuple(
            job_type_from_proto(each, f"types[{index}]") for index, each in enumerate(types)
        ),
        queues=_names(message.queues, "queues"),
        held=tokens_from_proto(message.held, "held"),
        labels=_labels(message.labels),
        pulls=message.pulls if message.HasField("pulls") else None,
        drain_seconds=(
            amount(message.drain_seconds, "drain_seconds")
            if message.HasField("drain_seconds")
            else None
        ),
    )


def registration_answer_to_proto(answer: RegistrationAnswer) -> pb.RegisterResponse:
    """Who answers, and which leases are valid no longer."""
    return pb.RegisterResponse(
        api_name=answer.api_name,
        api_boot=answer.api_boot,
        store_id=answer.store_id,
        invalid=tokens_to_proto(answer.invalid),
        fenced=answer.fenced,
        heartbeat_seconds=answer.heartbeat_seconds,
        takes_notes=answer.takes_notes,
        paused_queues=answer.paused_queues,
    )


def registration_answer_from_proto(message: pb.RegisterResponse) -> RegistrationAnswer:
    """The ids are required, and a heartbeat interval above 0."""
    interval = amount(message.heartbeat_seconds, "heartbeat_seconds")
    if interval == 0:
        raise bad("heartbeat_seconds", "must be above 0")
    return RegistrationAnswer(
        api_name=short_text(message.api_name, "api_name"),
        api_boot=short_text(message.api_boot, "api_boot"),
        store_id=short_text(message.store_id, "store_id"),
        invalid=tokens_from_proto(message.invalid, "invalid"),
        fenced=message.fenced,
        heartbeat_seconds=interval,
        takes_notes=message.takes_notes,
        paused_queues=_names(message.paused_queues, "paused_queues"),
    )


def heartbeat_to_proto(heartbeat: Heartbeat) -> pb.HeartbeatRequest:
    """What is free and held."""
    return pb.HeartbeatRequest(
        incarnation=heartbeat.incarnation,
        api_boot=heartbeat.api_boot,
        number=heartbeat.number,
        view=view_to_proto(heartbeat.view),
        held=tokens_to_proto(heartbeat.held),
        load=load_to_proto(heartbeat.load),
        draining=heartbeat.draining,
        fenced_batch=heartbeat.fenced_batch,
        paused=heartbeat.paused,
        since_unix=heartbeat.since,
        reason=sendable(heartbeat.reason[:MAX_REASON_CHARS]),
        order_taken=heartbeat.order_taken,
    )


def heartbeat_from_proto(message: pb.HeartbeatRequest) -> Heartbeat:
    """The incarnation and the view are required; an api boot may be empty before a Register."""
    return Heartbeat(
        incarnation=short_text(message.incarnation, "incarnation"),
        api_boot=short_text(message.api_boot, "api_boot", required=False),
        number=message.number,
        view=view_from_proto(message),
        held=tokens_from_proto(message.held, "held"),
        load=load_from_proto(message.load),
        draining=message.draining,
        fenced_batch=message.fenced_batch,
        paused=message.paused,
        since=amount(message.since_unix, "since_unix"),
        reason=message.reason[:MAX_REASON_CHARS],
        order_taken=short_text(message.order_taken, "order_taken", required=False),
    )


def heartbeat_answer_to_proto(answer: HeartbeatAnswer) -> pb.HeartbeatResponse:
    """The orders."""
    return pb.HeartbeatResponse(
        register_again=answer.register_again,
        fenced=answer.fenced,
        cancels=tokens_to_proto(answer.cancels),
        drain=answer.drain,
        fence_batch=answer.fence_batch,
        order=_order_to_proto(answer.order),
        paused_queues=answer.paused_queues,
    )


def heartbeat_answer_from_proto(message: pb.HeartbeatResponse) -> HeartbeatAnswer:
    """The orders."""
    return HeartbeatAnswer(
        register_again=message.register_again,
        fenced=message.fenced,
        cancels=tokens_from_proto(message.cancels, "cancels"),
        drain=message.drain,
        fence_batch=message.fence_batch,
        order=_order_from_proto(message),
        paused_queues=_names(message.paused_queues, "paused_queues"),
    )


def deregistration_to_proto(deregistration: Deregistration) -> pb.DeregisterRequest:
    """The last word of an incarnation; an overlong reason is cut."""
    return pb.DeregisterRequest(
        incarnation=deregistration.incarnation,
        reason=sendable(deregistration.reason[:MAX_REASON_LENGTH]),
    )


def deregistration_from_proto(message: pb.DeregisterRequest) -> Deregistration:
    """The incarnation is required; an overlong reason is cut."""
    return Deregistration(
        incarnation=short_text(message.incarnation, "incarnation"),
        reason=message.reason[:MAX_REASON_LENGTH],
    )


def workers_to_proto(entries: Sequence[FleetEntry]) -> pb.ListWorkersResponse:
    """The fleet; only ever sent by an api, so there is no way back."""
    return pb.ListWorkersResponse(workers=[_worker_to_proto(entry) for entry in entries])


def _worker_to_proto(entry: FleetEntry) -> pb.Worker:
    return pb.Worker(
        worker_id=entry.worker_id,
        incarnation=entry.incarnation,
        address=entry.address,
        machine=entry.machine,
        last_seen_unix=entry.last_seen_unix,
        load=load_to_proto(entry.load),
        slots=slots_to_proto(entry.slots),
        free=slots_to_proto(entry.free),
        status=entry.status,
        types=entry.types,
        queues=entry.queues,
        version=entry.version,
        breaker=entry.breaker,
        labels=entry.labels,
        since_unix=entry.since_unix or 0.0,
        reason=sendable(entry.reason),
    )


def _order_to_proto(order: WorkerOrder | None) -> pb.Order | None:
    if order is None:
        return None
    return pb.Order(
        id=order.id,
        kind=order.kind,
        reason=sendable(order.reason[:MAX_REASON_CHARS]),
        at_once=order.at_once,
    )


def _order_from_proto(message: pb.HeartbeatResponse) -> WorkerOrder | None:
    """None also for one of a kind that a newer api may know."""
    if not message.HasField("order"):
        return None
    order = message.order
    try:
        kind = OrderKind(order.kind)
    except ValueError:
        return None
    return WorkerOrder(
        id=short_text(order.id, "order.id"),
        kind=kind,
        reason=order.reason[:MAX_REASON_CHARS],
        at_once=order.at_once,
    )


def _names(values: Sequence[str], field: str) -> tuple[str, ...]:
    return tuple(short_text(each, field) for each in at_most(values, field, MAX_LISTED))


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        short_text(key, "labels"): short_text(value, f"labels[{key!r}]", required=False)
        for key, value in at_most(labels, "labels", MAX_LABELS).items()
    }
