"""What a command prints: JSON, tables for a terminal, or tab-separated lines for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Self

import click
import msgspec

from hermesd.cli.settings import Settings

_AGES: Final = ((86_400 * 2, 86_400, "d"), (3600 * 2, 3600, "h"), (120, 60, "m"), (0, 1, "s"))


class Screen:
    """Writes to stdout; notes for people go to stderr. Rich is loaded for a terminal's tables only.

    What comes from jobs and the network cannot steer the terminal: `printable` shows it instead.
    """

    def __init__(self, *, as_json: bool, terminal: bool, now: datetime) -> None:
        self.as_json = as_json
        self.terminal = terminal
        self._now = now

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The screen of this run."""
        return cls(as_json=settings.json, terminal=sys.stdout.isatty(), now=datetime.now(UTC))

    def emit(self, value: object) -> None:
        """`value` as JSON: one line, or indented on a terminal."""
        text = msgspec.json.encode(value)
        if self.terminal:
            text = msgspec.json.format(text, indent=2)
        self.json_text(text)

    def json_text(self, text: bytes | msgspec.Raw) -> None:
        """A JSON text as it is."""
        decoded = bytes(text).decode("utf-8", "backslashreplace")
        if self.terminal:
            decoded = "\n".join(printable(line) for line in decoded.split("\n"))
        click.echo(decoded)

    def line(self, text: str) -> None:
        """One line on stdout."""
        click.echo(printable(text))

    def row(self, cells: Iterable[str]) -> None:
        """Cells without a table around them, for what comes one by one."""
        shown = [printable(cell) for cell in cells if cell or not self.terminal]
        click.echo(("  " if self.terminal else "\t").join(shown))

    def note(self, text: str) -> None:
        """One line for people, on stderr; none where JSON was asked for."""
        if not self.as_json:
            click.echo(printable(text), err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
        """Rows under a heading; `nothing` is noted where there are none."""
        cells = [[printable(cell) for cell in row] for row in rows]
        if not cells:
            self.note(nothing)
        elif self.terminal:
            self._rich_table(columns, cells)
        else:
            for row in ([name.upper() for name in columns], *cells):
                self.row(row)

    def record(self, members: Iterable[tuple[str, str]]) -> None:
        """Name and value, a line each; members without a value are left out."""
        shown = [(name, value) for name, value in members if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            first, *more = [printable(part) for part in value.split("\n")]
            gap = name.ljust(width) + "  " if self.terminal else name + "\t"
            click.echo(gap + first)
            for part in more:
                click.echo((" " * (width + 2) if self.terminal else "\t") + part)

    def when(self, moment: datetime | None) -> str:
        """Local time and how long ago (or how soon) that is."""
        if moment is None:
            return ""
        local = moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"{local} ({age((self._now - moment).total_seconds())})"

    def when_unix(self, seconds: float) -> str:
        """The same for seconds since the epoch."""
        return self.when(datetime.fromtimestamp(seconds, UTC)) if seconds else ""

    def _rich_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        # Here, since it takes longer to load than most commands take.
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)


def age(seconds: float) -> str:
    """A span in its largest sensible unit: `5s ago`, `in 3m`."""
    size = abs(seconds)
    text = next(f"{int(size // unit)}{name}" for least, unit, name in _AGES if size >= least)
    return f"in {text}" if seconds < 0 else f"{text} ago"


def span(seconds: float) -> str:
    """A duration: `0.42 s`, `75 s`, `2h 5m`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{minutes} min" if hours < 2 else f"{hours} h {minutes % 60} min"


def printable(text: str) -> str:
    """`text` with everything that a terminal would act on written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
