"""What a figure is given: where to write, how often to repeat, where to put what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.board import Board


@dataclass(frozen=True)
class Setting:
    """`rounds` is how often each value is measured; `scale` shrinks the numbers of jobs."""

    folder: Path
    board: Board
    rounds: int
    scale: float

    def place(self, name: str) -> Path:
        """A fresh folder for one deployment."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    def jobs(self, count: int) -> int:
        """That many, scaled; never fewer than a hundred."""
        return max(int(count * self.scale), 100)
