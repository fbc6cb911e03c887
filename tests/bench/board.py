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
    """Prints lines as they come, and keeps them for the JSON; `store` is what holds the jobs."""

    def __init__(self, store: str = "SQLite") -> None:
        self.lines: list[Line] = []
        self.store = store
        self._figure = ""

    def head(self, figure: str, title: str) -> None:
        """What follows belongs to this figure."""
        self._figure = figure
        print(f"\n{figure}. {title}", flush=True)

    def note(self, text: str) -> None:
        """Something that a reader has to know."""
        print(f"   {text}", flush=True)

    def put(self, name: str, values: Sequence[float], unit: str, *floors: str) -> float:
        """Add a line, with its ratio to those floors that were measured; returns its median."""
        known = {line.name: line.median for line in self.lines}
        middle = statistics.median(values)
        ratios = {floor: middle / known[floor] for floor in floors if known.get(floor)}
        line = Line(self._figure, name, unit, tuple(values), ratios)
        self.lines.append(line)
        print(_text(line), flush=True)
        return line.median

    def median(self, name: str) -> float | None:
        """Of a line that was put before."""
        return next((line.median for line in self.lines if line.name == name), None)

    def write(self, path: Path) -> None:
        """All of it as JSON, with what it was measured on."""
        machine = {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cores": len(os.sched_getaffinity(0)),
            "load_average": os.getloadavg(),
            "store": self.store,
        }
        lines = [{**asdict(line), "median": line.median} for line in self.lines]
        path.write_text(json.dumps({"machine": machine, "lines": lines}, indent=2) + "\n")


def _text(line: Line) -> str:
    digits = 0 if line.median >= 1000 else 2
    text = f"   {line.name:<{NAME_WIDTH}} {line.median:>11,.{digits}f} {line.unit}"
    if len(line.values) > 1:
        least, most = min(line.values), max(line.values)
        text += f"  ({least:,.{digits}f} to {most:,.{digits}f})"
    for floor, ratio in line.ratios.items():
        text += f"  {ratio:.2f} of {floor}"
    return text


def progress(text: str) -> None:
    """For whoever waits: what is being done, on stderr and only on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K   {text}", end="\r", file=sys.stderr, flush=True)
