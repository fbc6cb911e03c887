"""Opens the line to the broker of the configuration, for either role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from structlog.typing import FilteringBoundLogger

from hermesd.config import QueueSection
from hermesd.config.authority import broker_authority
from hermesd.config.choices import QueueKind
from hermesd.core.amqp_names import Names
from hermesd.ports import Messages

if TYPE_CHECKING:
    from hermesd.bridge.amqp_line import BrokerLine

GET_CHANNELS: Final = 8  # as many gets as are under way at once


@asynccontextmanager
async def open_broker(
    queue: QueueSection, log: FilteringBoundLogger
) -> AsyncIterator[BrokerLine | None]:
    """The line, None where no broker is configured; it does not wait for the broker to be there.

    Must be opened inside `open_bridge()`. Raises ConfigError for a certificate that is none.
    """
    if queue.kind is not QueueKind.AMQP:
        yield None
        return
    # Here, since a daemon without a broker needs none of it.
    from hermesd.bridge.amqp_line import LineTerms, open_broker_line

    terms = LineTerms(
        heartbeat_seconds=queue.heartbeat_seconds,
        call_timeout_seconds=queue.call_timeout_seconds,
        get_channels=GET_CHANNELS,
    )
    authority = broker_authority(queue)
    async with open_broker_line(queue.url, terms, log=log, ssl_context=authority) as line:
        yield line


def messages_of(queue: QueueSection) -> Messages:
    """How messages are written for the broker of the configuration."""
    from hermesd.queues.messages import MessageCodec

    names = Names.of(queue.namespace, queue.names)
    return MessageCodec(names.exchange, queue.max_message_bytes)
