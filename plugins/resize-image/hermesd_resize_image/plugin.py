"""The entry point: what this distribution adds to hermesd."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from hermesd.handlers import Handler, hookimpl
from hermesd_resize_image.handler import resize_image
from hermesd_resize_image.settings import ResizeSettings


@hookimpl
def hermesd_handlers() -> Sequence[Handler]:
    """The one job type, `resize-image`; it imports PIL with its first job, and misses it here."""
    if find_spec("PIL") is None:
        raise ModuleNotFoundError("PIL is not installed", name="PIL")
    return [resize_image]


@hookimpl
def hermesd_settings() -> type[msgspec.Struct]:
    """What `[plugins.settings.resize-image]` may hold."""
    return ResizeSettings
