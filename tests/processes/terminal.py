"""A terminal with a command in it: what it shows, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pyte
import trio

from processes.daemon import PATIENCE_SECONDS


class Terminal:
    """A pseudo-terminal; `screen` is what somebody in front of it sees."""

    def __init__(self, columns: int, lines: int) -> None:
        self._ours, self._theirs = pty.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._more = trio.Event()
        self.resize(columns, lines)

    @property
    def screen(self) -> str:
        """Its lines."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def modes(self) -> list[Any]:
        """termios' attributes: what a shell would find."""
        return termios.tcgetattr(self._theirs)

    def resize(self, columns: int, lines: int) -> None:
        """As a window does; whoever runs in it is told by the caller (SIGWINCH)."""
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    async def shows(self, *texts: str) -> str:
        """The screen when all of these are on it at once."""
        with trio.move_on_after(PATIENCE_SECONDS):
            while not all(text in self.screen for text in texts):
                await self._more.wait()
            return self.screen
        raise AssertionError(f"it does not show {texts}:\n{self.screen}")

    async def start(self, arguments: Sequence[str], env: Mapping[str, str]) -> trio.Process:
        """`python -m hermesd.cli ARGUMENTS` in it; signals come from the test alone."""
        return await trio.lowlevel.open_process(
            [sys.executable, "-m", "hermesd.cli", *arguments],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**env, "TERM": "xterm-256color", "TZ": "UTC"},
            start_new_session=True,
        )

    async def read(self) -> None:
        """Takes what is written, for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._ours)
            self._stream.feed(os.read(self._ours, 65536))
            self._more.set()
            self._more = trio.Event()

    def close(self) -> None:
        """Both ends."""
        os.close(self._ours)
        os.close(self._theirs)


class Running:
    """A command in a terminal."""

    def __init__(self, process: trio.Process, terminal: Terminal) -> None:
        self.process = process
        self.terminal = terminal

    async def ended(self) -> int:
        """Its exit status; below 0 a signal's number."""
        with trio.fail_after(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def open_terminal(
    arguments: Sequence[str], env: Mapping[str, str], columns: int = 80, lines: int = 24
) -> AsyncIterator[Running]:
    """The command, killed in the end where it still runs."""
    terminal = Terminal(columns, lines)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.read)
        process = await terminal.start(arguments, env)
        try:
            yield Running(process, terminal)
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
            nursery.cancel_scope.cancel()
    terminal.close()
