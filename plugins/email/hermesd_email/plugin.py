"""The entry point: what this distribution adds to hermesd."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hermesd.handlers import Handler, hookimpl
from hermesd_email.handler import send_email
from hermesd_email.settings import EmailSettings


@hookimpl
def hermesd_handlers() -> Sequence[Handler]:
    """The one job type, `email`."""
    return [send_email]


@hookimpl
def hermesd_settings() -> type[msgspec.Struct]:
    """What `[plugins.settings.email]` may hold."""
    return EmailSettings
