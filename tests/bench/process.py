"""One process of the suite: started, waited for until it says "ready", watched and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
END_SECONDS = 60.0
READY = '"event": "ready"'


class Process:
    """A module of the suite as a process; its log goes to a file. `started` is monotonic."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.started = time.monotonic()
        self.ready_seconds = 0.0
        self._log = log
        self._ready_or_ended = threading.Event()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A daemon must never wait for somebody to read its log.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until_ready(self) -> Process:
        """Wait until it has said so; RuntimeError with its last words where it does not."""
        if not self._ready_or_ended.wait(START_SECONDS) or not self.ready_seconds:
            self.stop()
            told = self._log.read_text()[-2000:]
            raise RuntimeError(f"{self._log.stem} did not get ready:\n{told}")
        return self

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far (proc(5), stat)."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_bytes(self) -> int:
        """Resident memory (proc(5), statm)."""
        fields = Path(f"/proc/{self.popen.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._reader.join(END_SECONDS)

    def _read(self) -> None:
        assert self.popen.stderr is not None
        with self._log.open("a") as log:
            for line in self.popen.stderr:
                if not self.ready_seconds and READY in line:
                    self.ready_seconds = time.monotonic() - self.started
                    self._ready_or_ended.set()
                log.write(line)
                log.flush()
        self._ready_or_ended.set()
