"""What a submit of type `resize-image` says, and what its job results in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

MAX_SIDE_PIXELS: Final = 16_383  # the most that WebP can hold
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE_PIXELS)]
FilePath = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\u0000]*$")]


class Mode(StrEnum):
    """How an image comes to the size that is asked for."""

    FIT = "fit"  # within width and height, proportions kept, never enlarged
    FILL = "fill"  # exactly width by height, proportions kept, what sticks out cut off evenly
    EXACT = "exact"  # exactly width by height, stretched


class Format(StrEnum):
    """What an image can be written as."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


class ResizePayload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image. Exactly one of the three sources is given; without `output_path` the image comes
    back in the result, as base64. With mode `fit` one of `width` and `height` may be missing.
    """

    source_path: Annotated[
        FilePath | None,
        Meta(title="Source file", description="Absolute, below one of the allowed roots"),
    ] = None
    source_base64: Annotated[bytes | None, Meta(title="Source as base64")] = None
    source_url: Annotated[
        Annotated[str, Meta(max_length=8192, pattern=r"^[hH][tT][tT][pP][sS]?://\S+$")] | None,
        Meta(title="Source URL", description="http or https"),
    ] = None
    width: Annotated[Side | None, Meta(title="Width", description="Pixels")] = None
    height: Annotated[Side | None, Meta(title="Height", description="Pixels")] = None
    mode: Annotated[
        Mode, Meta(title="Mode", description="fit within, fill and crop, or exact and stretch")
    ] = Mode.FIT
    format: Annotated[
        Format | None, Meta(title="Format", description="Empty: the source's, or png")
    ] = None
    quality: Annotated[
        int, Meta(title="Quality", description="Of jpeg and webp, 1 to 100", ge=1, le=100)
    ] = 85
    output_path: Annotated[
        FilePath | None,
        Meta(title="Output file", description="Absolute, below an allowed root; replaced if there"),
    ] = None

    def __post_init__(self) -> None:
        sources = (self.source_path, self.source_base64, self.source_url)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give exactly one of `source_path`, `source_base64`, `source_url`")
        missing = (self.width is None) + (self.height is None)
        if missing == 2:
            raise ValueError("give `width`, `height` or both")
        if missing and self.mode is not Mode.FIT:
            raise ValueError(f"mode {str(self.mode)!r} needs both `width` and `height`")


class ResizeResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The image as it was written: its size in pixels and bytes, and where it is or what it is."""

    width: int
    height: int
    format: Format
    bytes: int
    path: str | None = None
    base64: str | None = None
