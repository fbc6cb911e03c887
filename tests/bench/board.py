"""What was measured: every value of every round, its median, and its ratio to the floors."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

NAME_WIDTH = 58


@dataclass(frozen=True)
class Line:
    """One figure; `ratios` are its median through the median of each floor named."""

    figure: str
    name: str
    unit: str
    values: tuple[float, ...]
    ratios: Mapping[str, float]

    @property
    def median(self) -> float:
        """Of all rounds."""
        return statistics.median(self.values)


class Board:
    """Prints lines as they come, unless silent, and keeps them; `store` is what holds the jobs."""

    def __init__(self, store: str = "SQLite", *, silent: bool = False) -> None:
        self.lines: list[Line] = []
        self.store = store
        self.title = ""
        self._silent = silent
        self._figure = ""

    def head(self, figure: str, title: str) -> None:
        """What follows belongs to this figure."""
        self._figure, self.title = figure, title
        self._print(f"\n{figure}. {title}")

    def note(self, text: str) -> None:
        """Something that a reader has to know."""
        self._print(f"   {text}")

    def put(self, name: str, values: Sequence[float], unit: str, *floors: str) -> float:
        """Add a line, with its ratio to those floors that were measured; returns its median."""
        known = {line.name: line.median for line in self.lines}
        middle = statistics.median(values)
        ratios = {floor: middle / known[floor] for floor in floors if known.get(floor)}
        line = Line(self._figure, name, unit, tuple(values), ratios)
        self.lines.append(line)
        self._print(_text(line))
        return line.median

    def median(self, name: str) -> float | None:
        """Of a line that was put before."""
        return next((line.median for line in self.lines if line.name == name), None)

    def write(self, path: Path) -> None:
        """All of it as JSON, with what it was measured on."""
        machine = {**of_this_machine(), "store": self.store}
        lines = [{**asdict(line), "median": line.median} for line in self.lines]
        path.write_text(json.dumps({"machine": machine, "lines": lines}, indent=2) + "\n")

    def _print(self, text: str) -> None:
        if not self._silent:
            print(text, flush=True)


def of_this_machine() -> dict[str, object]:
    """What a figure depends on besides hermesd."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
    }


def number(value: float, like: float | None = None) -> str:
    """For a reader: whole from a thousand on, else hundredths (or as `like` has them)."""
    digits = 0 if (value if like is None else like) >= 1000 else 2
    return f"{value:,.{digits}f}"


def _text(line: Line) -> str:
    text = f"   {line.name:<{NAME_WIDTH}} {number(line.median):>11} {line.unit}"
    if len(line.values) > 1:
        least, most = (number(each, line.median) for each in (min(line.values), max(line.values)))
        text += f"  ({least} to {most})"
    for floor, ratio in line.ratios.items():
        text += f"  {ratio:.2f} of {floor}"
    return text


def progress(text: str) -> None:
    """For whoever waits: what is being done, on stderr and only on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K   {text}", end="\r", file=sys.stderr, flush=True)
