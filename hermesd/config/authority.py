"""The certificate authority that a broker is checked against."""

from __future__ import annotations

import ssl

from hermesd.config.sections import QueueSection
from hermesd.core.errors import ConfigError


def broker_authority(queue: QueueSection) -> ssl.SSLContext | None:
    """What to check the certificate of an amqps:// broker with; None: the system's authorities.

    Raises ConfigError where `ca_file` holds no certificate.
    """
    if not queue.ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=queue.ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or error
        raise ConfigError([f"queue.ca_file: {queue.ca_file}: {reason}"]) from error
