"""What becomes of an image."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hermesd_resize_image.geometry import source_box, target_size
from hermesd_resize_image.image import ImageRefused, Resized, resize
from hermesd_resize_image.payload import Format, Mode, ResizePayload
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

MakeImage = Callable[..., bytes]
RED, BLUE = (255, 0, 0), (0, 0, 255)


def resized(source: bytes, max_pixels: int = 1_000_000, **fields: Any) -> Resized:
    return resize(source, ResizePayload(source_base64=b"", **fields), max_pixels)


def opened(result: Resized) -> Image.Image:
    image = Image.open(io.BytesIO(result.data))
    assert image.size == (result.width, result.height)
    assert (image.format or "").lower() == result.format
    return image


def close(pixel: Any, colour: tuple[int, ...], tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"width": 100, "height": 100}, (100, 50)),
        ({"width": 100}, (100, 50)),
        ({"height": 20}, (40, 20)),
        ({"width": 4000, "height": 4000}, (400, 200)),
        ({"width": 1}, (1, 1)),
        ({"width": 100, "height": 100, "mode": Mode.FILL}, (100, 100)),
        ({"width": 500, "height": 500, "mode": Mode.FILL}, (500, 500)),
        ({"width": 50, "height": 150, "mode": Mode.EXACT}, (50, 150)),
    ],
)
def test_a_size_follows_from_the_mode(
    fields: dict[str, Any], size: tuple[int, int], make_image: MakeImage
) -> None:
    """`fit` keeps within and never enlarges, `fill` and `exact` give just what is asked for."""
    assert opened(resized(make_image(), **fields)).size == size


def test_fill_keeps_the_middle(make_image: MakeImage) -> None:
    """Both halves of the picture are still there, in equal parts."""
    image = opened(resized(make_image(), width=100, height=100, mode=Mode.FILL)).convert("RGB")
    assert close(image.getpixel((10, 50)), RED)
    assert close(image.getpixel((90, 50)), BLUE)


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from(Mode),
)
def test_boxes_lie_within_their_sources(
    source: tuple[int, int], width: int, height: int, mode: Mode
) -> None:
    """Whatever the sizes: nothing outside of the image is asked for, and no size is zero."""
    target = target_size(source, width, height, mode)
    left, upper, right, lower = source_box(source, target, mode)
    assert min(target) >= 1
    assert 0 <= left < right <= source[0] + 1e-9
    assert 0 <= upper < lower <= source[1] + 1e-9
    if mode is Mode.FIT:
        assert target[0] <= min(width, source[0])
        assert target[1] <= min(height, source[1])


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_format_becomes_every_other(source: str, form: Format, make_image: MakeImage) -> None:
    """The colours come through."""
    image = opened(resized(make_image(form=source), width=100, format=form)).convert("RGB")
    assert close(image.getpixel((10, 25)), RED)
    assert close(image.getpixel((90, 25)), BLUE)


@pytest.mark.parametrize(
    ("source", "form"),
    [("JPEG", Format.JPEG), ("WEBP", Format.WEBP), ("PNG", Format.PNG), ("GIF", Format.PNG)],
)
def test_without_a_format_the_sources_is_kept(
    source: str, form: Format, make_image: MakeImage
) -> None:
    """Or png where the source's cannot be written."""
    assert resized(make_image(form=source), width=10).format is form


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("form", list(Format))
def test_every_kind_of_pixel_is_taken(mode: str, form: Format) -> None:
    """A white picture of each mode stays white."""
    buffer = io.BytesIO()
    if mode == "I;16":
        Image.new("I;16", (40, 20), 65535).save(buffer, "PNG")
    else:
        white = Image.new("RGB", (40, 20), "white").convert(mode)
        white.save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    image = opened(resized(buffer.getvalue(), width=20, format=form)).convert("RGB")
    assert close(image.getpixel((10, 5)), (255, 255, 255), tolerance=2)


def test_sixteen_bits_of_grey_become_eight() -> None:
    """Scaled down, not cut off."""
    buffer = io.BytesIO()
    Image.new("I;16", (40, 20), 32768).save(buffer, "PNG")
    assert opened(resized(buffer.getvalue(), width=20)).getpixel((5, 5)) == 128


def test_transparency_is_kept_where_it_can_be_and_white_elsewhere() -> None:
    """JPEG has none."""
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 20), (255, 0, 0, 0)).save(buffer, "PNG")
    kept = opened(resized(buffer.getvalue(), width=20)).getchannel("A")
    assert kept.getpixel((5, 5)) == 0
    flat = opened(resized(buffer.getvalue(), width=20, format=Format.JPEG))
    assert close(flat.getpixel((5, 5)), (255, 255, 255), tolerance=2)


@pytest.mark.parametrize("size", [(400, 200), (4000, 2000)])
def test_a_picture_is_turned_as_its_camera_says(
    size: tuple[int, int], make_image: MakeImage
) -> None:
    """Orientation 6 is a quarter turn: what was on the left is on top; also when decoded small."""
    exif = Image.Exif()
    exif[0x0112] = 6
    source = make_image(size, "JPEG", exif=exif)
    image = opened(resized(source, max_pixels=8_000_000, width=100, height=100))
    assert image.size == (50, 100)
    assert close(image.getpixel((25, 10)), RED)
    assert close(image.getpixel((25, 90)), BLUE)
    filled = opened(resized(source, max_pixels=8_000_000, width=40, height=60, mode=Mode.FILL))
    assert filled.size == (40, 60)


@pytest.mark.parametrize("form", list(Format))
def test_metadata_does_not_come_along(form: Format, make_image: MakeImage) -> None:
    """EXIF, comments, texts and colour profiles are gone."""
    exif = Image.Exif()
    exif[0x010E] = "hush description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "hush text")
    sources = [
        make_image(form="JPEG", exif=exif, comment=b"hush comment", icc_profile=profile),
        make_image(form="PNG", exif=exif, pnginfo=text, icc_profile=profile),
        make_image(form="WEBP", exif=exif, icc_profile=profile, xmp=b"hush xmp"),
        make_image(form="GIF", comment=b"hush comment"),
    ]
    for source in sources:
        result = resized(source, width=100, format=form)
        image = opened(result)
        assert b"hush" not in result.data
        assert not image.getexif()
        assert "icc_profile" not in image.info


def test_a_broken_colour_profile_is_ignored(make_image: MakeImage) -> None:
    """The picture is still worth something."""
    source = make_image(form="PNG", icc_profile=b"no profile at all")
    assert opened(resized(source, width=100)).size == (100, 50)


def png_header_of(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be that large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "size", [(1001, 1000), (10_000, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    """Over our limit, over Pillow's warning and over Pillow's error."""
    with pytest.raises(ImageRefused, match=r"pixels|DecompressionBomb"):
        resized(png_header_of(*size), width=10)


def test_a_result_over_the_limit_is_refused(make_image: MakeImage) -> None:
    """Enlarging could ask for any amount of memory too."""
    with pytest.raises(ImageRefused, match="the result of 2000 x 2000 pixels is over the limit"):
        resized(make_image(), width=2000, height=2000, mode=Mode.EXACT)


def test_a_cut_off_image_is_refused(make_image: MakeImage) -> None:
    """At every place where it may be cut, none is an unexpected error."""
    for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        source = make_image(form=form)
        for length in (0, 1, 10, 30, 100, len(source) // 2):
            with pytest.raises(ImageRefused):
                resized(source[:length], width=10)


@given(st.data())
def test_a_damaged_image_is_refused_or_resized(data: st.DataObject) -> None:
    """Flipped bytes never raise anything else."""
    form = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]))
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((32, 32)).save(buffer, form)
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageRefused):
        resized(bytes(damaged), width=10)


@pytest.mark.parametrize("form", ["TIFF", "ICO", "PDF", "PPM"])
def test_other_formats_are_refused(form: str, make_image: MakeImage) -> None:
    """Only what is named is decoded."""
    with pytest.raises(ImageRefused, match="no image of a known format"):
        resized(make_image((32, 32), form), width=10)


def test_an_animation_gives_its_first_picture() -> None:
    """The others are not even decoded."""
    frames = [Image.new("RGB", (40, 20), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    image = opened(resized(buffer.getvalue(), width=20)).convert("RGB")
    assert close(image.getpixel((5, 5)), RED)


def test_a_lower_quality_makes_fewer_bytes() -> None:
    """Of jpeg and webp."""
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(buffer, "PNG")
    for form in (Format.JPEG, Format.WEBP):
        low, high = (
            len(resized(buffer.getvalue(), width=200, format=form, quality=quality).data)
            for quality in (10, 95)
        )
        assert low < high
