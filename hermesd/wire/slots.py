"""Slots, the view of the free ones, and a worker's load."""

from __future__ import annotations

from typing import Final

from hermesd.core.fleet import Load, Slots, SlotView
from hermesd.core.job import Kind
from hermesd.wire.fields import amount, bad
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

MAX_SLOTS: Final = 1_000_000
_KINDS: Final = tuple(str(kind) for kind in Kind)


def slots_to_proto(slots: Slots) -> pb.Slots:
    """Counts by kind; a field is named `async`, so they are passed by name."""
    return pb.Slots(**{str(kind): count for kind, count in slots.items()})


def slots_from_proto(message: pb.Slots, field: str) -> Slots:
    """Counts of all three kinds, zeros included."""
    slots = {kind: getattr(message, kind) for kind in _KINDS}
    for kind, count in slots.items():
        if count > MAX_SLOTS:
            raise bad(f"{field}.{kind}", f"must be at most {MAX_SLOTS}, got {count}")
    return slots


def view_to_proto(view: SlotView) -> pb.SlotView:
    """The free slots as of a version."""
    return pb.SlotView(
        version=view.version, free=slots_to_proto(view.free), last_batch=view.last_batch
    )


def view_from_proto(message: pb.HeartbeatRequest | pb.ReportRequest) -> SlotView:
    """The view that a heartbeat or a report carries; it must be there."""
    if not message.HasField("view"):
        raise bad("view", "is missing")
    view = message.view
    return SlotView(
        version=view.version,
        free=slots_from_proto(view.free, "view.free"),
        last_batch=view.last_batch,
    )


def load_to_proto(load: Load) -> pb.Load:
    """How a worker process is doing."""
    return pb.Load(
        cpu=load.cpu,
        loop_lag_seconds=load.loop_lag_seconds,
        rss_bytes=load.rss_bytes,
        running=load.running,
        unreported=load.unreported,
    )


def load_from_proto(message: pb.Load) -> Load:
    """A load that is absent is a load of zeros."""
    return Load(
        cpu=amount(message.cpu, "load.cpu"),
        loop_lag_seconds=amount(message.loop_lag_seconds, "load.loop_lag_seconds"),
        rss_bytes=message.rss_bytes,
        running=message.running,
        unreported=message.unreported,
    )
