"""Where the resized image goes: into a file, or back in the result."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from hermesd.handlers import Permanent, Retry
from hermesd_resize_image.beneath import PathRefused, check_beneath, write_beneath
from hermesd_resize_image.payload import ResizePayload, ResizeResult
from hermesd_resize_image.settings import ResizeSettings

if TYPE_CHECKING:
    from hermesd_resize_image.image import Resized


def check_target(payload: ResizePayload, settings: ResizeSettings) -> None:
    """Raises Permanent where the output path is refused: before any work is done for it."""
    if payload.output_path is None:
        return
    try:
        check_beneath(settings.allowed_roots, payload.output_path)
    except PathRefused as error:
        raise Permanent(f"output_path: {error}") from error


def deliver(resized: Resized, payload: ResizePayload, settings: ResizeSettings) -> ResizeResult:
    """Writes the image, or puts it into the result; raises Permanent where it does not fit there,
    and Retry where the disk does not take it now.
    """
    result = ResizeResult(
        width=resized.width,
        height=resized.height,
        format=resized.format,
        bytes=len(resized.data),
        path=payload.output_path,
        base64=None if payload.output_path else _as_base64(resized.data, settings),
    )
    if payload.output_path is not None:
        try:
            write_beneath(settings.allowed_roots, payload.output_path, resized.data)
        except PathRefused as error:
            raise Permanent(f"output_path: {error}") from error
        except OSError as error:
            raise Retry(reason=f"output_path: {error.strerror}") from error
    return result


def _as_base64(data: bytes, settings: ResizeSettings) -> str:
    if len(data) > settings.max_returned_bytes:
        raise Permanent(
            f"the image of {len(data)} bytes is over the limit of {settings.max_returned_bytes} "
            "for a result; give an `output_path`, a smaller size or a lower quality"
        )
    return b64encode(data).decode("ascii")
