"""`GET /stats/history`: what the charts are drawn from, in columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

from litestar import Response, get
from msgspec import Meta

from hermesd.api.openapi import DOC, Doc
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import Query, read_query
from hermesd.api.views import View
from hermesd.core.chart import LONGEST_WINDOW_SECONDS
from hermesd.core.errors import InvalidValue
from hermesd.core.points import BANDS, Point
from hermesd.core.sketch import Packed, Sketch

SHORTEST_WINDOW_SECONDS: Final = 60
SHARES: Final = (0.5, 0.95, 0.99)
_AS_KEPT: Final = (
    *("seconds", "submitted", "started", "succeeded", "failed", "retried", "cancelled"),
    *("oldest_seconds", "scheduled", "running", "slots", "workers", "lag_seconds"),
)

Column = Sequence[float | str | None]


class HistoryQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the history: how many seconds up to now."""

    window: Annotated[
        int, Meta(ge=SHORTEST_WINDOW_SECONDS, le=LONGEST_WINDOW_SECONDS, description="seconds")
    ] = 3600


class HistoryView(View, frozen=True, kw_only=True):
    """Steps of `step_seconds` each: `times` are the UTC seconds at which they begin.

    Each series has one value a step, null where nothing is known of it. `seconds` is how much of a
    step was observed: counts (`submitted` to `cancelled`) divided by it are rates. `wait_*` is the
    time from submit to start and `run_*` that in a handler, in seconds, null where there was none;
    `waiting*`, `running` and all others are the most in the step; `rung` is its last.
    """

    api: str
    window_seconds: int
    step_seconds: int
    times: Sequence[int]
    series: Mapping[str, Column]


@get(
    "/stats/history",
    opt={
        DOC: Doc(
            summary="What the fleet did, step by step: 5 s, 60 s or 300 s each, by the window",
            query=HistoryQuery,
            answers={200: HistoryView},
            errors=(InvalidValue,),
        )
    },
)
async def show_history_of_fleet(request: HttpRequest) -> Response[HistoryView]:
    """The last minutes or hours."""
    query = read_query(request.scope["query_string"], HistoryQuery)
    services = services_of(request)
    window = services.history.window(query.window)
    view = HistoryView(
        api=services.api_name,
        window_seconds=query.window,
        step_seconds=window.step_seconds,
        times=[at for at, _ in window.steps],
        series=_series([point for _, point in window.steps]),
    )
    return answer(view)


def _series(points: Sequence[Point | None]) -> dict[str, Column]:
    series: dict[str, Column] = {name: _column(points, _attribute(name)) for name in _AS_KEPT}
    series["free"] = _column(points, lambda point: max(point.slots - point.busy, 0))
    series["rung"] = _column(points, lambda point: point.rung or None)
    series["waiting"] = _column(points, lambda point: sum(point.waiting))
    for place, band in enumerate(BANDS):
        series[f"waiting_{band}"] = _column(points, _band(place))
    for name in ("wait", "run"):
        found = [_quantiles(getattr(point, name)) if point else _UNKNOWN for point in points]
        for place, share in enumerate(SHARES):
            series[f"{name}_p{share * 100:.0f}"] = [one[place] for one in found]
    return series


def _column(points: Sequence[Point | None], value: Callable[[Point], Any]) -> Column:
    return [None if point is None else value(point) for point in points]


def _attribute(name: str) -> Callable[[Point], Any]:
    def value(point: Point) -> Any:
        found = getattr(point, name)
        return round(found, 4) if isinstance(found, float) else found

    return value


def _band(place: int) -> Callable[[Point], int]:
    return lambda point: point.waiting[place] if place < len(point.waiting) else 0


_UNKNOWN: Final[tuple[float | None, ...]] = (None,) * len(SHARES)


@lru_cache(maxsize=2048)  # the same steps are asked for again and again
def _quantiles(packed: Packed) -> tuple[float | None, ...]:
    found = Sketch.unpacked(packed).quantiles(SHARES)
    return tuple(None if one is None else float(f"{one:.3g}") for one in found)


HISTORY_HANDLERS: Final = (show_history_of_fleet,)
