"""The entry point: what this distribution adds to hermesd."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hermesd.handlers import Handler, hookimpl
from hermesd_http.handler import call_webhook
from hermesd_http.settings import HttpSettings


@hookimpl
def hermesd_handlers() -> Sequence[Handler]:
    """The one job type, `http`."""
    return [call_webhook]


@hookimpl
def hermesd_settings() -> type[msgspec.Struct]:
    """What `[plugins.settings.http]` may hold."""
    return HttpSettings
