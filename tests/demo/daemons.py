"""A `hermesd serve` as a process of its own, with its log kept."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.demo.screen import DemoFailed

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
TAIL_LINES: Final = 25


class Daemon:
    """Runs from `with` to `stop()`; leaving the `with` block earlier kills it."""

    def __init__(self, role: str, command: Sequence[str], environ: Mapping[str, str], folder: Path):
        self.role = role
        self.places: Mapping[str, Any] = {}
        self._argv = [*command, "serve", "--role", role]
        self._environ = environ
        self._folder = folder
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ready_or_ended = threading.Event()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            env=self._environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=STOP_SECONDS)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def until_ready(self) -> None:
        """Wait until it serves; then `places` has the addresses that it told of in its log."""
        if not self._ready_or_ended.wait(READY_SECONDS):
            raise DemoFailed(
                f"the daemon (role {self.role}) was not ready within {READY_SECONDS:.0f} s."
            )
        if not self.places:
            status = self._process.wait(timeout=STOP_SECONDS)
            raise DemoFailed(
                f"the daemon (role {self.role}) ended at its start, with exit code {status}."
            )

    def stop(self) -> None:
        """SIGTERM, and wait for a clean end; raises DemoFailed where it is none."""
        self._process.send_signal(signal.SIGTERM)
        self.until_ended()

    def until_ended(self) -> None:
        """Wait for a clean end of one that was told to; raises DemoFailed where it is none."""
        try:
            status = self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoFailed(
                f"the daemon ({self.role}) had not ended {STOP_SECONDS:.0f} s after it was told"
            ) from None
        if status != 0:
            raise DemoFailed(
                f"the daemon (role {self.role}) ended with exit code {status} instead of 0."
            )

    def log_tail(self) -> list[str]:
        """The last lines of its log."""
        self._reader.join(timeout=1.0)
        return list(self._tail)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._tail.append(line.rstrip("\n"))
            told = _event(line)
            if told.get("event") == "ready":
                self.places = told
                self._ready_or_ended.set()
        self._ready_or_ended.set()


def _event(line: str) -> dict[str, Any]:
    """A line of the log as JSON; empty for what is none, such as a traceback."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
