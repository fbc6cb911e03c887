"""The terminal while `hermesd top` has it: single keys, the other screen, and all of it undone."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio
from rich.console import Console, RenderableType
from rich.live import Live

from hermesd.cli.top_keys import Keys

ESCAPE_SECONDS: Final = 0.05  # what follows an Escape within it belongs to it
READ_BYTES: Final = 1024


class Terminal:
    """Draws, reads keys, and can be left for a while; `opened` restores it whatever happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._input = sys.stdin.fileno()
        self._saved: list[Any] | None = None
        self._live: Live | None = None

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Terminal]:
        """The terminal of stdin and stdout."""
        terminal = cls(Console())
        try:
            terminal.enter()
            yield terminal
        finally:
            terminal.leave()

    def enter(self) -> None:
        """Take it: no echo, no line editing, the other screen, no cursor."""
        self._saved = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def leave(self) -> None:
        """Give it back as it was; a terminal that is gone wants nothing back."""
        live, saved = self._live, self._saved
        self._live = self._saved = None
        with contextlib.suppress(OSError):
            if live:
                live.stop()
        with contextlib.suppress(OSError, termios.error):
            if saved:
                termios.tcsetattr(self._input, termios.TCSADRAIN, saved)

    def suspend(self) -> None:
        """Stop as Ctrl-Z wants it, with the terminal given back until somebody goes on."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()

    def size(self) -> tuple[int, int]:
        """Columns and lines now; 80x24 of a terminal that does not know."""
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        return columns or 80, lines or 24

    def draw(self, shown: RenderableType, size: tuple[int, int]) -> None:
        """The whole screen anew."""
        if self._live:
            self._console.size = size
            self._live.update(shown, refresh=True)

    async def keys(self) -> AsyncIterator[str]:
        """Keys as they are pressed; ends when the terminal is gone."""
        keys = Keys()
        while True:
            ready = False
            with trio.move_on_after(ESCAPE_SECONDS if keys.unfinished else float("inf")):
                await trio.lowlevel.wait_readable(self._input)
                ready = True
            if ready:
                try:
                    chunk = os.read(self._input, READ_BYTES)
                except OSError:
                    return
                if not chunk:
                    return
            for key in keys.take(chunk) if ready else keys.finish():
                yield key
