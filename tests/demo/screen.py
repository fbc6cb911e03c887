"""What a person sees of the demo, and how it says that something does not hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence


class DemoFailed(Exception):
    """Something is not as it must be; the text is a sentence for people."""


class Screen:
    """Prints acts and steps, and counts the steps that held."""

    def __init__(self) -> None:
        self.held = 0

    def act(self, title: str) -> None:
        """A new part of the story."""
        self.line(f"\n{title}")

    def holds(self, sentence: str) -> None:
        """Something was checked and is so."""
        self.held += 1
        self.line(f"  ok  {sentence}")

    def command(self, words: Sequence[str]) -> None:
        """A command as a user would type it."""
        self.line(f"  $   {' '.join(words)}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows in columns; the first is the heading."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line(f"  {'  '.join(cells)}".rstrip())

    def line(self, text: str = "") -> None:
        """One line, at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def must(fact: object, sentence: str) -> None:
    """Raise DemoFailed with `sentence` unless `fact` is true."""
    if not fact:
        raise DemoFailed(sentence)
