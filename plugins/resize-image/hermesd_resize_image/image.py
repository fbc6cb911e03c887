"""The work itself, over Pillow: bytes of an image in, bytes of another one out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from hermesd_resize_image.geometry import Size, source_box, target_size
from hermesd_resize_image.payload import Format, ResizePayload

# What is likely to be asked for and well tested; every further decoder is more to attack.
READ_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_ORIENTATION_TAG: Final = 0x0112
_TURNED: Final = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_WHITE: Final = (255, 255, 255)


class ImageRefused(Exception):
    """The bytes are no image that is taken, or one over a limit; trying again will not help."""


class Resized(msgspec.Struct, frozen=True, kw_only=True):
    """An encoded image and what it is."""

    data: bytes
    width: int
    height: int
    format: Format


def resize(source: bytes, payload: ResizePayload, max_pixels: int) -> Resized:
    """The image in `source` as `payload` asks for it, upright, in sRGB and without metadata.

    Of an animation the first picture is taken. Raises ImageRefused where the source is broken or
    of another format, and where it or the result is over `max_pixels`: checked by the size in its
    header, before anything is unpacked.
    """
    with _translated(), Image.open(io.BytesIO(source), formats=READ_FORMATS) as image:
        _check_pixels("source", image.size, max_pixels)
        chosen = payload.format or _format_of(image)
        size = target_size(_upright_size(image), payload.width, payload.height, payload.mode)
        _check_pixels("result", size, max_pixels)
        _decode_no_larger_than_needed(image, size)
        picture = _for_format(_in_srgb(ImageOps.exif_transpose(image)), chosen)
        box = source_box(picture.size, size, payload.mode)
        scaled = picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
        return Resized(
            data=_encoded(scaled, chosen, payload.quality),
            width=scaled.width,
            height=scaled.height,
            format=chosen,
        )


@contextmanager
def _translated() -> Iterator[None]:
    """Broken data makes Pillow's decoders raise nearly anything; all of it is the image's fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (ImageRefused, MemoryError):
        raise
    except UnidentifiedImageError as error:
        known = ", ".join(READ_FORMATS)
        raise ImageRefused(f"the source is no image of a known format ({known})") from error
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"[:200]
        raise ImageRefused(f"the source cannot be read as an image: {detail}") from error


def _check_pixels(what: str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageRefused(
            f"the {what} of {width} x {height} pixels is over the limit of {max_pixels} pixels"
        )


def _format_of(image: Image.Image) -> Format:
    name = (image.format or "").lower()
    return Format(name) if name in set(Format) else Format.PNG


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    turned = image.getexif().get(_ORIENTATION_TAG) in _TURNED
    return (height, width) if turned else (width, height)


def _decode_no_larger_than_needed(image: Image.Image, size: Size) -> None:
    """Lets JPEG unpack at a half, quarter or eighth where that is still twice what is needed."""
    width, height = _upright_size(image)
    scale = 2 * max(size[0] / width, size[1] / height)
    if scale < 1:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


def _in_srgb(image: Image.Image) -> Image.Image:
    """`image` as L, RGB or RGBA; its colour profile is applied, since it will be dropped."""
    profile = image.info.get("icc_profile")
    transparent = "A" in image.getbands() or "transparency" in image.info
    plain = image
    if image.mode.startswith("I;16"):
        plain = image.point(lambda value: value * (1 / 256)).convert("L")  # or it would be cut off
    elif image.mode in ("P", "PA") or transparent:
        plain = image.convert("RGBA" if transparent else "RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        plain = image.convert("L" if image.mode.startswith(("1", "I", "F")) else "RGB")
    if profile and plain.mode in ("RGB", "RGBA", "CMYK"):
        plain = _profile_applied(plain, profile)
    return plain.convert("RGB") if plain.mode == "CMYK" else plain


def _profile_applied(image: Image.Image, profile: bytes) -> Image.Image:
    mode = "RGB" if image.mode == "CMYK" else image.mode
    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a broken profile, or one for other channels, is as good as none
    return image if converted is None else converted


def _for_format(picture: Image.Image, chosen: Format) -> Image.Image:
    """`picture` as the format can hold it: JPEG has no transparency, so white shows through."""
    if chosen is not Format.JPEG or picture.mode != "RGBA":
        return picture
    backdrop = Image.new("RGB", picture.size, _WHITE)
    backdrop.paste(picture, mask=picture.getchannel("A"))
    return backdrop


def _encoded(picture: Image.Image, chosen: Format, quality: int) -> bytes:
    picture.info.clear()  # or Pillow would write comments and profiles of the source again
    buffer = io.BytesIO()
    if chosen is Format.PNG:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, chosen.upper(), quality=quality)
    return buffer.getvalue()
