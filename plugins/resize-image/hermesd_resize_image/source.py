"""Where the bytes of an image come from: the payload itself, a file, or a URL."""

from __future__ import annotations

from hermesd.handlers import Permanent, Retry
from hermesd_resize_image.beneath import PathRefused, read_beneath
from hermesd_resize_image.payload import ResizePayload
from hermesd_resize_image.settings import ResizeSettings


def load_source(payload: ResizePayload, settings: ResizeSettings) -> bytes:
    """The bytes of the one source that `payload` names, at most `max_source_bytes`.

    Raises Permanent where it is refused, too large or not there; Retry where a server or a disk
    may do better later.
    """
    if payload.source_base64 is not None:
        if len(payload.source_base64) > settings.max_source_bytes:
            raise Permanent(f"source_base64 is over the limit of {settings.max_source_bytes} bytes")
        return payload.source_base64
    if payload.source_path is not None:
        try:
            return read_beneath(
                settings.allowed_roots, payload.source_path, settings.max_source_bytes
            )
        except PathRefused as error:
            raise Permanent(f"source_path: {error}") from error
        except OSError as error:
            raise Retry(reason=f"source_path: {error.strerror}") from error
    # Imported only here: a child process that fetches nothing need not load httpx and trio.
    from hermesd_resize_image.fetch import fetch

    return fetch(payload.source_url or "", settings)
