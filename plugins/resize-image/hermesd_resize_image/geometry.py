"""Sizes and boxes, in pixels: pure."""

from __future__ import annotations

from hermesd_resize_image.payload import Mode

Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, upper, right, lower


def target_size(source: Size, width: int | None, height: int | None, mode: Mode) -> Size:
    """The size that an image of size `source` gets; see Mode for what the modes mean.

    A None stands for any; only `fit` takes it, and not both of them.
    """
    if mode is not Mode.FIT:
        if width is None or height is None:
            raise ValueError(f"mode {str(mode)!r} needs both width and height")
        return width, height
    ratios = [1.0]
    if width is not None:
        ratios.append(width / source[0])
    if height is not None:
        ratios.append(height / source[1])
    ratio = min(ratios)
    return max(round(source[0] * ratio), 1), max(round(source[1] * ratio), 1)


def source_box(source: Size, target: Size, mode: Mode) -> Box:
    """The part of the source that is scaled to `target`: all, or for `fill` the middle of it."""
    if mode is not Mode.FILL:
        return 0, 0, source[0], source[1]
    proportion = target[0] / target[1]
    width = min(source[0], source[1] * proportion)
    height = min(source[1], source[0] / proportion)
    left, upper = (source[0] - width) / 2, (source[1] - height) / 2
    return left, upper, left + width, upper + height
