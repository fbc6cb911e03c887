"""One daemon as a process of its own, with its log as it comes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import trio

APP: Final = Path(__file__).with_name("app.py")
ACTIVATED: Final = Path(__file__).with_name("activated.py")
PATIENCE_SECONDS: Final = 150.0
SHOWN_LINES: Final = 300

Line = dict[str, Any]


class DaemonProcess:
    """A running daemon. `log` holds its events, oldest first; what is no JSON is under `text`."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.log: list[Line] = []
        self._process = process
        self._more = trio.Event()
        self._silent = False

    @classmethod
    async def start(
        cls,
        nursery: trio.Nursery,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        sockets: Sequence[tuple[str, socket.socket]] = (),
        prefix: Sequence[str] = (),
    ) -> DaemonProcess:
        """Start `python APP arguments`; its log is read in `nursery` until it ends.

        `sockets` are passed under their names, as systemd does it; they stay the caller's too.
        `prefix` is a command that goes over to the one behind it.
        """
        names, passed = [name for name, _ in sockets], [each.fileno() for _, each in sockets]
        activated = [str(ACTIVATED), ":".join(names), ",".join(map(str, passed))]
        process = await trio.lowlevel.open_process(
            [*prefix, sys.executable, *(activated if sockets else ()), str(APP), *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=passed,
        )
        daemon = cls(name, process)
        nursery.start_soon(daemon._read)
        return daemon

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def rss_bytes(self) -> int:
        """Its resident memory now (proc(5), statm)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * 4096

    @property
    def cpu_seconds(self) -> float:
        """The time of a processor that it has used (proc(5), stat); 0 once it has ended."""
        if not self.alive:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill9(self) -> None:
        """End it at once, without a word."""
        self._process.send_signal(signal.SIGKILL)

    def sigterm(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def sighup(self) -> None:
        """Ask it to read its configuration again."""
        self._process.send_signal(signal.SIGHUP)

    def sigstop(self) -> None:
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit status once it has ended and its log is whole; below 0 a signal's number."""
        with trio.fail_after(seconds):
            status = await self._process.wait()
            while not self._silent:
                await self._more.wait()
        return status

    def events(self, event: str, **fields: Any) -> list[Line]:
        """What it has logged so far under this name, with these fields."""
        return [line for line in self.log if _fits(line, event, fields)]

    async def logged(
        self, event: str, *, after: int = 0, seconds: float = PATIENCE_SECONDS, **fields: Any
    ) -> Line:
        """The first such line of its log from index `after` on, when it has come."""
        place = after
        with trio.move_on_after(seconds):
            while True:
                for line in self.log[place:]:
                    if _fits(line, event, fields):
                        return line
                place = max(place, len(self.log))
                if self._silent:
                    break
                await self._more.wait()
        raise AssertionError(f"{self.name} did not log {event!r} {fields or ''}")

    async def ready(self) -> Line:
        """Its first line that says that everything serves, with its addresses."""
        return await self.logged("ready")

    def told(self) -> str:
        """The end of its log, for whoever reads of a failed test."""
        lines = self.log[-SHOWN_LINES:]
        status = self._process.poll()
        head = f"--- {self.name} (pid {self.pid}, status {status}, {len(self.log)} lines)"
        return "\n".join([head, *(line.get("text") or json.dumps(line) for line in lines)])

    async def _read(self) -> None:
        assert self._process.stderr is not None
        kept = b""
        async for chunk in self._process.stderr:
            *lines, kept = (kept + chunk).split(b"\n")
            self.log += [_parsed(line) for line in lines]
            self._tell()
        self._silent = True
        self._tell()

    def _tell(self) -> None:
        self._more.set()
        self._more = trio.Event()


def _parsed(line: bytes) -> Line:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"text": line.decode("utf-8", "replace")}


def _fits(line: Line, event: str, fields: Mapping[str, Any]) -> bool:
    return line.get("event") == event and all(line.get(k) == v for k, v in fields.items())
