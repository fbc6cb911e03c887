"""The first lines of `hermesd top`: who answers, how many jobs, how quick."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from hermesd.cli.screen import printable, span
from hermesd.cli.top_known import BANDS, RATES, Known
from hermesd.cli.top_panes import short
from hermesd.client.answers import Quantiles

HEAD_LINES: Final = 6


def head(known: Known, now: datetime) -> RenderableType:
    """HEAD_LINES lines, the last one blank or what is wrong."""
    lines = (
        ("", _title(known, now)),
        ("jobs", _counts(known.counts)),
        ("waiting", _waiting(known)),
        ("per s", _rates(known.rates)),
        ("took", _times(known)),
    )
    shown = [_line(name, text) for name, text in lines]
    wrong = Text(printable(trouble(known)), style="bold red", no_wrap=True, overflow="ellipsis")
    return Group(*shown, wrong)


def trouble(known: Known) -> str:
    """What keeps the screen from being true; empty where it is."""
    if known.silent_since:
        since = known.silent_since.astimezone().strftime("%H:%M:%S")
        return f"no answer since {since}, trying again ({known.url})"
    return "; ".join(f"{question}: {detail}" for question, detail in known.faults.items())


def _line(name: str, text: str) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    if name:
        line.append(f"{name:<9}", style="bold")
    return line.append(printable(text))


def _title(known: Known, now: datetime) -> str:
    time = now.astimezone().strftime("%H:%M:%S")
    if known.answered_at is None:
        return f"hermesd top  {time}  {known.url}"
    up = f"up {span(float(int(known.uptime_seconds)))}"
    return "  ".join(("hermesd top", time, f"api {known.api}", up, f"rung {known.rung}"))


def _counts(counts: Mapping[str, int]) -> str:
    return "  ".join(f"{state} {count}" for state, count in counts.items()) or "none"


def _waiting(known: Known) -> str:
    waiting = known.waiting
    bands = "  ".join(f"{band} {waiting[band]}" for band in BANDS)
    oldest = f"  oldest {short(known.oldest_seconds)}" if waiting["total"] else ""
    return f"{waiting['total']}  ({bands}){oldest}"


def _rates(rates: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {_rate(rates.get(name, 0.0))}" for name in RATES)


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if 0 < rate < 100 else f"{rate:.0f}"


def _times(known: Known) -> str:
    recent = known.stats.recent
    return f"wait {_quantiles(recent.all.wait)}   run {_quantiles(recent.all.run)}"


def _quantiles(found: Quantiles | None) -> str:
    if found is None:
        return "-"
    return "  ".join(f"{name} {short(getattr(found, name))}" for name in ("p50", "p95", "p99"))
