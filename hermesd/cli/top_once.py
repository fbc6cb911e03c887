"""The screen of `hermesd top` as one print: as long as its lists are, without keys."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import click
from rich.console import Console

from hermesd.cli.top_head import HEAD_LINES
from hermesd.cli.top_known import Known
from hermesd.cli.top_screen import LEAST_COLUMNS, screen
from hermesd.cli.top_view import PANES, View

MAX_COLUMNS: Final = 159  # one list above the other reads better in a file


def print_once(known: Known, now: datetime) -> None:
    """To stdout; no wider than its terminal, or than COLUMNS."""
    console = Console()
    columns = max(min(console.width, MAX_COLUMNS), LEAST_COLUMNS)
    lines = HEAD_LINES + sum(len(known.keys(pane)) + 2 for pane in PANES)
    with console.capture() as captured:
        shown = screen(known, View(), now, columns, lines, interactive=False)
        console.print(shown, width=columns, height=lines)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
