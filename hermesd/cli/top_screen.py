"""The screen of `hermesd top`: from what is known and where somebody is to what rich draws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.table import Table
from rich.text import Text

from hermesd.cli.screen import printable
from hermesd.cli.top_head import HEAD_LINES, head
from hermesd.cli.top_job import job_lines
from hermesd.cli.top_known import Known, Pane
from hermesd.cli.top_panes import Listing, listing
from hermesd.cli.top_view import PANES, View

LEAST_COLUMNS: Final = 40
LEAST_LINES: Final = 12
_TWO_COLUMNS: Final = 160  # from here on two lists stand side by side
_LEAST_PANE: Final = 3
_STATUS_STYLES: Final = {
    "paused": "yellow",
    "draining": "yellow",
    "unreachable": "red",
    "failed": "red",
    "cancelling": "yellow",
}
KEYS: Final = "Tab ↑↓ Enter  d drain p pause r resume  c cancel R retry  ? help  q quit"
HELP: Final = """\
Tab, Shift-Tab   the next or last list
↑ ↓, k j         move; a page with PgUp and PgDn
Enter            open the chosen job; Esc or Enter closes it
d                drain the chosen worker: it ends its jobs, then itself
p, r             pause or resume the chosen worker or queue
c                cancel the chosen or opened job
R                retry the chosen or opened job
?                this help; any key closes it
q                quit

Every order is asked about first: y does it, any other key does not.
Slots are used/all; lag is that of the event loop; rss is resident memory.
wait is from submit to start, run the time in a handler."""


def screen(
    known: Known, view: View, now: datetime, width: int, height: int, *, interactive: bool = True
) -> RenderableType:
    """Exactly `height` lines at most `width` wide; a terminal that is too small is told so."""
    if width < LEAST_COLUMNS or height < LEAST_LINES:
        needs = f"hermesd top needs {LEAST_COLUMNS}x{LEAST_LINES} characters"
        return Layout(Text(needs, overflow="fold"))
    layout = Layout()
    parts = [Layout(head(known, now), size=HEAD_LINES), Layout(name="body")]
    if interactive:
        parts.append(Layout(_foot(view), size=1))
    layout.split_column(*parts)
    layout["body"].update(_body(known, view, now, width, height - HEAD_LINES - interactive))
    return layout


def _foot(view: View) -> RenderableType:
    if view.question:
        asked = printable(f"{view.question.text}? y/n")
        return Text(asked, style="bold yellow", no_wrap=True, overflow="ellipsis")
    return Text(printable(view.note) or KEYS, style="dim", no_wrap=True, overflow="ellipsis")


def _body(known: Known, view: View, now: datetime, width: int, height: int) -> RenderableType:
    if view.helping:
        return Text(HELP, no_wrap=True, overflow="ellipsis")
    if view.opened:
        return _opened(known, view, width, height)
    if width < _TWO_COLUMNS:
        return _stacked(PANES, known, view, now, width, height)
    halves = Layout()
    right = width * 4 // 7  # jobs have long names
    left = width - right - 1
    halves.split_row(
        Layout(_stacked(PANES[:2], known, view, now, left, height), size=left),
        Layout(Text(" "), size=1),
        Layout(_stacked(PANES[2:], known, view, now, right, height), size=right),
    )
    return halves


def _opened(known: Known, view: View, width: int, height: int) -> RenderableType:
    if known.opened is None or known.opened.id != view.opened:
        missing = known.faults.get("job", "asking …")
        return Text(printable(f"job {view.opened}: {missing}"), overflow="fold")
    lines = [part for line in job_lines(known.opened, known.history) for part in _cut(line, width)]
    first = min(view.scroll, max(len(lines) - height, 0))
    view.scroll = first  # what was scrolled past the end need not be scrolled back
    shown = lines[first : first + height]
    return Group(*(Text(line, no_wrap=True, overflow="crop") for line in shown))


def _cut(line: str, width: int) -> Sequence[str]:
    return [line[place : place + width] for place in range(0, max(len(line), 1), width)]


def _stacked(
    panes: Sequence[Pane], known: Known, view: View, now: datetime, width: int, height: int
) -> Layout:
    """Panes above each other; the focused one gets what the others do not need."""
    listings = {pane: listing(pane, known, now, width) for pane in panes}
    wanted = {pane: len(found.rows) + 2 for pane, found in listings.items()}
    lines = shares(wanted, view.pane, height)
    stack = Layout()
    stack.split_column(
        *(
            Layout(_pane(pane, found, known, view, lines[pane]), size=lines[pane])
            for pane, found in listings.items()
        )
    )
    return stack


def shares(wanted: dict[Pane, int], focused: Pane, height: int) -> dict[Pane, int]:
    """Lines for each pane, `height` in all: some for all, then what they want, the focused first.

    What nobody wants is the last one's.
    """
    least = min(_LEAST_PANE, height // len(wanted))
    lines = dict.fromkeys(wanted, least)
    left = height - least * len(wanted)
    for pane in sorted(wanted, key=lambda pane: pane is not focused):
        more = min(max(wanted[pane] - least, 0), left)
        lines[pane] += more
        left -= more
    lines[list(wanted)[-1]] += left
    return lines


def _pane(pane: Pane, found: Listing, known: Known, view: View, lines: int) -> RenderableType:
    focused = view.pane is pane
    table = Table(
        box=None,
        expand=True,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold reverse" if focused else "bold",
    )
    for place, column in enumerate(found.columns):
        name = f"{column.name.upper()} {len(found.rows)}" if place == 0 else column.name
        table.add_column(
            Text(name, no_wrap=True),
            width=column.width or None,
            ratio=None if column.width else 1,
            justify="right" if column.number else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    chosen = view.place(pane, known)
    shown = max(lines - 1, 1)
    first = max(min(chosen - shown // 2, len(found.rows) - shown), 0)
    for place, row in enumerate(found.rows[first : first + shown], first):
        cells = [Text(printable(cell), style=_STATUS_STYLES.get(cell, "")) for cell in row]
        table.add_row(*cells, style="reverse" if focused and place == chosen else "")
    return table
