"""What an api, or the whole fleet, did in one step of time: what the charts are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from hermesd.core.amqp_names import Band
from hermesd.core.sketch import Packed, Sketch

STEP_SECONDS: Final = 5
MINUTE_SECONDS: Final = 60

_COUNTS: Final = ("submitted", "started", "succeeded", "failed", "retried", "cancelled")
_GAUGES: Final = ("oldest_seconds", "scheduled", "running", "slots", "busy", "workers")
_GREATEST: Final = (*_GAUGES, "lag_seconds")
BANDS: Final = tuple(str(band) for band in Band)
NOTHING: Final[Packed] = ()


Number = int | float  # whole where it was counted


class Point(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step, which begins at the UTC second `at`; `seconds` of it were observed.

    `submitted` to `cancelled` count what happened, `wait` (submit to start) and `run` (in a
    handler) say how long it took. All others are the most of the step: `waiting` by band of
    priority, the most urgent first, `oldest_seconds` the age of what waits longest; `rung` is where
    jobs went last that no worker could take.
    """

    at: int
    seconds: float
    submitted: Number = 0
    started: Number = 0
    succeeded: Number = 0
    failed: Number = 0
    retried: Number = 0
    cancelled: Number = 0
    wait: Packed = NOTHING
    run: Packed = NOTHING
    waiting: tuple[int, ...] = (0,) * len(BANDS)
    oldest_seconds: float = 0.0
    scheduled: int = 0
    running: int = 0
    slots: int = 0
    busy: int = 0
    workers: int = 0
    rung: str = ""
    lag_seconds: float = 0.0


def in_turn(points: Sequence[Point], at: int) -> Point:
    """Steps that came one after the other as a single one; at least one point.

    So were the lives of one api within a step.
    """
    return _joined(points, at, round(sum(point.seconds for point in points), 3))


def side_by_side(points: Sequence[Point], at: int) -> Point:
    """The same step as several apis saw it; at least one point.

    Each knows what the whole fleet has, and counts only what it did itself.
    """
    return _joined(points, at, max(point.seconds for point in points))


def _joined(points: Sequence[Point], at: int, seconds: float) -> Point:
    if len(points) == 1:
        return msgspec.structs.replace(points[0], at=at, seconds=seconds)
    return Point(
        at=at,
        seconds=seconds,
        **{name: sum(getattr(point, name) for point in points) for name in _COUNTS},
        **{name: max(getattr(point, name) for point in points) for name in _GREATEST},
        wait=_merged([point.wait for point in points]),
        run=_merged([point.run for point in points]),
        waiting=tuple(map(max, zip(*(point.waiting for point in points), strict=False))),
        rung=points[-1].rung,
    )


def _merged(packed: Sequence[Packed]) -> Packed:
    full = [one for one in packed if one]
    if len(full) < 2:
        return full[0] if full else NOTHING
    whole = Sketch()
    for one in full:
        whole.merge(Sketch.unpacked(one))
    return whole.packed()


LEAST_SECONDS: Final = 0.1  # counts are divided by it


def rest(minute: Point, known: Sequence[Point], at: int, steps: int) -> Point | None:
    """What is left of a minute for each of `steps` steps of which nothing else is known.

    Counts become fractions of what the known steps leave; None where they leave nothing but the
    blur of clocks.
    """
    seconds = max(minute.seconds - sum(point.seconds for point in known), LEAST_SECONDS)
    shares = {
        name: max(getattr(minute, name) - sum(getattr(point, name) for point in known), 0) / steps
        for name in _COUNTS
    }
    if seconds < 1.0 and not any(shares.values()):
        return None
    return msgspec.structs.replace(minute, at=at, seconds=seconds / steps, **shares)


class KeptPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of one life of an api."""

    api: str
    boot: str
    point: Point


def minutes_of(kept: Sequence[KeptPoint]) -> list[Point]:
    """The minutes of the whole fleet, from those of all lives of all apis."""
    by_api: dict[int, dict[str, list[Point]]] = {}
    for one in kept:
        by_api.setdefault(one.point.at, {}).setdefault(one.api, []).append(one.point)
    return [
        side_by_side([in_turn(lives, at) for lives in apis.values()], at)
        for at, apis in sorted(by_api.items())
    ]
