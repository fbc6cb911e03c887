"""The entry point: what this distribution adds to hermesd."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from hermesd.handlers import Handler, hookimpl
from hermesd_http.handler import call_webhook
from hermesd_http.settings import HttpSettings


@hookimpl
def hermesd_handlers() -> Sequence[Handler]:
    """The one job type, `http`; it imports httpx with its first job, and misses it here."""
    if find_spec("httpx") is None:
        raise ModuleNotFoundError("httpx is not installed", name="httpx")
    return [call_webhook]


@hookimpl
def hermesd_settings() -> type[msgspec.Struct]:
    """What `[plugins.settings.http]` may hold."""
    return HttpSettings
