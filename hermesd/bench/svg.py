"""A plot of latency against time as SVG 1.1: percentiles a slice, latency on a log scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from hermesd.bench.report import LatencyView, Report, SliceView

WIDTH: Final = 960
HEIGHT: Final = 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 24, 64, 56
_STYLE: Final = (
    "text{font-family:system-ui,sans-serif;font-size:13px;fill:#222}"
    ".title{font-size:16px;font-weight:600}.note{fill:#555}"
    ".grid{stroke:#ddd;stroke-width:1}.axis{stroke:#222;stroke-width:1}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
)


class Line(NamedTuple):
    """One percentile; told apart by its dashes too, for who does not see its colour."""

    name: str
    member: str
    colour: str
    dashes: str


LINES: Final = (
    Line("max", "max_ms", "#b3261e", "2 4"),
    Line("p99", "p99_ms", "#c76a00", "8 4"),
    Line("p95", "p95_ms", "#1f6feb", "12 3 3 3"),
    Line("p50", "p50_ms", "#116329", "none"),
)


class Scale(NamedTuple):
    """From seconds and milliseconds to places in the picture."""

    seconds: float
    least_ms: float
    most_ms: float

    def x(self, seconds: float) -> float:
        """Linear."""
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / self.seconds

    def y(self, milliseconds: float) -> float:
        """Logarithmic."""
        height = HEIGHT - _TOP - _BOTTOM
        span = math.log10(self.most_ms / self.least_ms)
        share = math.log10(max(milliseconds, self.least_ms) / self.least_ms) / span
        return _TOP + height * (1 - share)


def latency_plot(report: Report) -> str:
    """The whole document; without one answered request it says so."""
    slices = report.timeline
    title = f"Submit latency, {report.mode}: {report.accepted_per_second:,.0f} jobs/s accepted"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 24, title, kind="title"),
        _text(_LEFT, 44, _summary(report), kind="note"),
    ]
    if slices:
        scale = _scale(slices)
        parts += [*_grid(scale), *_axes()]
        parts += [_path(line, slices, scale) for line in LINES]
        parts += _legend()
    else:
        parts.append(_text(WIDTH / 2, HEIGHT / 2, "no submit was accepted", anchor="middle"))
    return "\n".join([*parts, "</svg>", ""])


def _summary(report: Report) -> str:
    shown = report.latency
    failed = sum(report.errors.values())
    return (
        f"{report.requests:,} requests in {report.seconds:,.1f} s, "
        f"p50 {shown.p50_ms:,.3g} ms, p99 {shown.p99_ms:,.3g} ms, max {shown.max_ms:,.3g} ms, "
        f"{failed:,} errors, {sum(report.retries.values()):,} retries"
    )


def _scale(slices: Sequence[SliceView]) -> Scale:
    lows = [each.latency.p50_ms for each in slices]
    highs = [each.latency.max_ms for each in slices]
    least = 10 ** math.floor(math.log10(max(min(lows), 0.001)))
    most = 10 ** math.ceil(math.log10(max(max(highs), 0.001)))
    return Scale(slices[-1].at_seconds * 1.02, least, max(most, least * 10))


def _grid(scale: Scale) -> list[str]:
    parts = []
    decade = scale.least_ms
    while decade <= scale.most_ms * 1.001:
        y = scale.y(decade)
        parts.append(_stroke("grid", _LEFT, y, WIDTH - _RIGHT, y))
        parts.append(_text(_LEFT - 8, y + 4, f"{decade:,g}", anchor="end"))
        decade *= 10
    step = _tick(scale.seconds)
    for number in range(int(scale.seconds / step) + 1):
        x = scale.x(number * step)
        parts.append(_stroke("grid", x, _TOP, x, HEIGHT - _BOTTOM))
        parts.append(_text(x, HEIGHT - _BOTTOM + 18, f"{number * step:g}", anchor="middle"))
    return parts


def _axes() -> list[str]:
    bottom, middle = HEIGHT - _BOTTOM, (_TOP + HEIGHT - _BOTTOM) / 2
    return [
        _stroke("axis", _LEFT, bottom, WIDTH - _RIGHT, bottom),
        _stroke("axis", _LEFT, _TOP, _LEFT, bottom),
        _text(
            (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 14, "seconds since the start", anchor="middle"
        ),
        f'<text x="18" y="{middle:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 18 {middle:.0f})">latency in milliseconds (log)</text>',
    ]


def _path(line: Line, slices: Sequence[SliceView], scale: Scale) -> str:
    points = " ".join(
        f"{scale.x(each.at_seconds):.1f},{scale.y(_value(each.latency, line)):.1f}"
        for each in slices
    )
    if len(slices) == 1:  # a line needs two points: a short level one
        x, y = (float(number) for number in points.split(","))
        points = f"{x - 12:.1f},{y:.1f} {x:.1f},{y:.1f}"
    return (
        f'<polyline class="line" stroke="{line.colour}" stroke-dasharray="{line.dashes}" '
        f'points="{points}"/>'
    )


def _legend() -> list[str]:
    parts = []
    for place, line in enumerate(LINES):
        x = WIDTH - _RIGHT - 90 * (len(LINES) - place)
        parts.append(
            f'<line class="line" stroke="{line.colour}" stroke-dasharray="{line.dashes}" '
            f'x1="{x}" y1="20" x2="{x + 40}" y2="20"/>'
        )
        parts.append(_text(x + 46, 24, line.name))
    return parts


def _value(latency: LatencyView, line: Line) -> float:
    value: float = getattr(latency, line.member)
    return value


def _tick(seconds: float) -> float:
    """1, 2 or 5 times a power of ten, so that there are at most ten of them."""
    power: float = 10.0 ** math.floor(math.log10(seconds / 10))
    return next(power * times for times in (1, 2, 5, 10, 20) if seconds / (power * times) <= 10)


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
