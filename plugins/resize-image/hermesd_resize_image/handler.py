"""The job type `resize-image`, each in a process of its own: decoders crash, and take memory."""

from __future__ import annotations

from hermesd.handlers import JobContext, Permanent, job
from hermesd_resize_image.payload import ResizePayload, ResizeResult
from hermesd_resize_image.settings import settings_of
from hermesd_resize_image.source import load_source
from hermesd_resize_image.target import check_target, deliver


@job("resize-image", kind="process")
def resize_image(payload: ResizePayload, ctx: JobContext) -> ResizeResult:
    """Reads an image, resizes it and writes it, or returns it as base64.

    Running it again writes the same file again, so a repeated attempt does no harm. Raises
    Permanent where the payload or the image is at fault, Retry where a server or the disk is.
    """
    # Only here: a worker leaves this to its child processes and need not hold Pillow.
    from hermesd_resize_image.image import ImageRefused, resize

    settings = settings_of(ctx.settings)
    check_target(payload, settings)
    source = load_source(payload, settings)
    try:
        resized = resize(source, payload, settings.max_pixels)
    except ImageRefused as error:
        raise Permanent(str(error)) from error
    return deliver(resized, payload, settings)
