"""What a figure is given: where to write, how often to repeat, where to put what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.board import Board
from tests.bench.databases import Databases


@dataclass(frozen=True)
class Setting:
    """`rounds` is how often each value is measured; `scale` shrinks the numbers of jobs.

    Without `databases` each deployment has a SQLite file in its folder.
    """

    folder: Path
    board: Board
    rounds: int
    scale: float
    databases: Databases | None = None

    def place(self, name: str) -> Path:
        """A fresh folder for one deployment."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    def store(self) -> dict[str, str]:
        """What gives one deployment its store."""
        return {} if self.databases is None else self.databases.settings()

    def jobs(self, count: int) -> int:
        """That many, scaled; never fewer than a hundred."""
        return max(int(count * self.scale), 100)
