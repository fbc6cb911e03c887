"""Both stores in turns in one run: a machine's better and worse minutes fall on both alike.

Each round measures a figure on both stores, the next round in the other order. A line has the
median of each store and, because the halves of a round belong together, the median of the rounds'
ratios.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench.board import NAME_WIDTH, Board, Line, number, of_this_machine
from tests.bench.databases import Databases
from tests.bench.setting import Setting


@dataclass(frozen=True)
class Pair:
    """One figure on both stores, a value a round."""

    figure: str
    name: str
    unit: str
    sqlite: tuple[float, ...]
    postgresql: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """PostgreSQL's value through SQLite's, of each round."""
        return tuple(
            ours / theirs if theirs else float("nan")
            for ours, theirs in zip(self.postgresql, self.sqlite, strict=True)
        )

    @property
    def ratio(self) -> float:
        """Their median."""
        return statistics.median(self.ratios)


class Turns:
    """Measures figures on both stores and prints a line for each of their values."""

    def __init__(self, setting: Setting, databases: Databases) -> None:
        self._setting = setting
        self._databases: Mapping[str, Databases | None] = {
            "SQLite": None,
            "PostgreSQL": databases,
        }
        self._boards = {store: Board(store, silent=True) for store in self._databases}
        self.pairs: list[Pair] = []

    def measure(self, figure: int, measured: Callable[[Setting], None]) -> None:
        """That figure, as many rounds as are set."""
        before = {store: len(board.lines) for store, board in self._boards.items()}
        for turn in range(self._setting.rounds):
            stores = list(self._databases)
            for store in stores if turn % 2 == 0 else reversed(stores):
                measured(self._for(store, self._setting.folder / f"{figure}-{turn}-{store}"))
        self._setting.board.head(str(figure), self._boards["SQLite"].title)
        found = {store: board.lines[before[store] :] for store, board in self._boards.items()}
        names = dict.fromkeys(line.name for lines in found.values() for line in lines)
        for name in names:
            self._put(name, {store: _named(name, lines) for store, lines in found.items()})

    def write(self, path: Path) -> None:
        """Every value of every round as JSON, with what it was measured on."""
        pairs = [{**asdict(pair), "ratio": pair.ratio} for pair in self.pairs]
        about = of_this_machine()
        path.write_text(json.dumps({"machine": about, "lines": pairs}, indent=2) + "\n")

    def _for(self, store: str, folder: Path) -> Setting:
        return replace(
            self._setting,
            folder=folder,
            board=self._boards[store],
            rounds=1,
            databases=self._databases[store],
        )

    def _put(self, name: str, lines: Mapping[str, Sequence[Line]]) -> None:
        values = {store: tuple(line.median for line in lines[store]) for store in lines}
        first = lines["SQLite"][0]
        pair = Pair(first.figure, name, first.unit, values["SQLite"], values["PostgreSQL"])
        self.pairs.append(pair)
        print(_text(pair), flush=True)


def _named(name: str, lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.name == name]


def _text(pair: Pair) -> str:
    both = [statistics.median(values) for values in (pair.sqlite, pair.postgresql)]
    text = f"   {pair.name:<{NAME_WIDTH}}" + "".join(f" {number(each):>11}" for each in both)
    text += f" {pair.unit:<7} {pair.ratio:.2f} of SQLite's"
    if len(pair.ratios) > 1:
        text += f" ({min(pair.ratios):.2f} to {max(pair.ratios):.2f})"
    return text
