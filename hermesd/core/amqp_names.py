"""What hermesd has in a broker, by name, and the priority bands that its queues are split into.

A named queue has one queue in the broker for each band, since there a queue is served in the order
of arrival.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from hermesd.core.amqp_url import MAX_SHORT_BYTES
from hermesd.core.errors import InvalidValue
from hermesd.core.job import PRIORITY_LEVELS

# Routing keys of the one exchange that is published to; a job's key has a dot and is neither.
OUTCOMES_KEY: Final = "outcomes"
# Routing keys of the dead letter exchange.
RETURNED_KEY: Final = "returned"
DEAD_KEY: Final = "dead"

_NAME = re.compile(r"(?!amq\.)[A-Za-z0-9_.:@#,/+-]+\Z")  # amq. is the broker's own


class Band(StrEnum):
    """A range of priorities, from the level of its name to the next; the most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    BACKGROUND = "background"


def band_of(priority: int) -> Band:
    """The band of a priority from 0 to 10."""
    return next(band for band in Band if priority >= PRIORITY_LEVELS[band])


def routing_key(queue: str, band: Band) -> str:
    """The key under which the exchange has a job of this named queue and band."""
    return f"{queue}.{band}"


class NamePatterns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names in the broker before `{namespace}`, and in `queue` `{queue}` and `{band}`, are put in.

    `returned` gets the jobs that the broker gives up on, `dead_letter_queue` what nobody can use.
    """

    exchange: str = "{namespace}.jobs"
    dead_letter_exchange: str = "{namespace}.dlx"
    dead_letter_queue: str = "{namespace}.dlq"
    returned: str = "{namespace}.returned"
    outcomes: str = "{namespace}.outcomes"
    queue: str = "{namespace}.{queue}.{band}"


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names of one namespace in the broker; those of jobs' queues: `queue_of`."""

    exchange: str
    dead_letter_exchange: str
    dead_letter_queue: str
    returned: str
    outcomes: str
    queue: str

    @classmethod
    def of(cls, namespace: str, patterns: NamePatterns) -> Names:
        """The names that the patterns make; none is checked: see `check_broker_name`."""
        fields = msgspec.structs.asdict(patterns)
        return cls(**{key: text.replace("{namespace}", namespace) for key, text in fields.items()})

    def queue_of(self, queue: str, band: Band) -> str:
        """The broker's queue for the jobs of this named queue and band."""
        return self.queue.replace("{band}", band).replace("{queue}", queue)


def check_broker_name(name: str) -> None:
    """Raise InvalidValue where no exchange or queue of ours may have this name."""
    if len(name.encode()) > MAX_SHORT_BYTES:
        raise InvalidValue(
            f"makes a name of {len(name.encode())} bytes, over the {MAX_SHORT_BYTES} of AMQP"
        )
    if not _NAME.match(name):
        raise InvalidValue(
            f"makes {name[:80]!r}, which is no name: write letters, digits and - _ . : @ # , / +,"
            " and do not begin with amq."
        )
