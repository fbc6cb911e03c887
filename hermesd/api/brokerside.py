"""What the agents of the broker's rung are handed beside the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hermesd.core.amqp_names import Names
from hermesd.core.broker import Topology
from hermesd.core.messages import Stamp
from hermesd.ports import Broker, Messages
from hermesd.signal import Signal


@dataclass(frozen=True, kw_only=True)
class BrokerSide:
    """The line to the broker, what is there by name, and how its messages are read.

    `topology` is that of some named queues. `stamp_of` reads headers and raises InvalidValue.
    `fault` says why messages cannot be published, empty where they can. `declared` is told once the
    topology is there, or why it is not; `misrouted` is set when it seems to be gone.
    """

    broker: Broker
    names: Names
    topology: Callable[[Iterable[str]], Topology]
    messages: Messages
    stamp_of: Callable[[Mapping[str, object]], Stamp]
    fault: Callable[[], str]
    declared: Callable[[str], None]
    misrouted: Signal
