"""What a process says, line by line, as something to wait on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

PATIENCE_SECONDS: Final = 150.0


class Lines:
    """A process whose lines are kept as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.so_far: list[str] = []
        self._more = threading.Condition()
        self._over = False

    @classmethod
    @contextmanager
    def of(cls, argv: Sequence[str]) -> Iterator[Self]:
        """Start it; at the end it is killed, if it is not over."""
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        lines = cls(process)
        reader = threading.Thread(target=lines._read)
        reader.start()
        try:
            yield lines
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # nsenter has a child that it waits for
            process.wait()
            reader.join()

    def wait(
        self, fits: Callable[[str], bool], seconds: float = PATIENCE_SECONDS, *, after: int = 0
    ) -> str:
        """The first line from index `after` on that fits, when it has come."""
        with self._more:
            self._more.wait_for(lambda: self._over or self._found(fits, after), seconds)
            found = self._found(fits, after)
        said = "\n".join(self.so_far[-50:])
        assert found is not None, f"{self.process.args!r} did not say it, but:\n{said}"
        return found

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Its status once it has ended, its stdin closed, and all lines are there."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(seconds)
        with self._more:
            assert self._more.wait_for(lambda: self._over, seconds)
        return status

    def _found(self, fits: Callable[[str], bool], after: int) -> str | None:
        return next((line for line in self.so_far[after:] if fits(line)), None)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.so_far.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()
