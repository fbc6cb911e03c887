"""What a child prints: forwarded to the log as lines within a rate, its tail kept for a crash."""

from __future__ import annotations

from typing import Any, Final

from hermesd.handlers.verdict import bounded_head, bounded_tail

TAIL_BYTES: Final = 4 * 1024
LINE_BYTES: Final = 1024
LINES_PER_SECOND: Final = 50


class Output:
    """Takes the bytes of stdout and stderr as they come; holds at most the tail and one line."""

    def __init__(self, logger: Any, pid: int) -> None:
        self._logger = logger
        self._pid = pid
        self._job_id: str | None = None
        self._tail = bytearray()
        self._line = bytearray()
        self._window_start = 0.0
        self._lines_left = LINES_PER_SECOND
        self._dropped = 0

    def begin(self, job_id: str) -> None:
        """What comes from here on belongs to this job."""
        self._job_id = job_id
        self._tail.clear()

    def tail(self) -> str:
        """The end of what the job has printed."""
        return bounded_tail(self._tail.decode("utf-8", "replace"), TAIL_BYTES)

    def feed(self, data: bytes, now: float) -> None:
        """Takes what was read at `now` (seconds, any steady clock)."""
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        if now - self._window_start >= 1.0:
            self._tell_dropped()
            self._window_start, self._lines_left = now, LINES_PER_SECOND
        *lines, rest = data.split(b"\n", self._lines_left)
        for line in lines:
            self._forward(self._line + line)
            self._line.clear()
        if self._lines_left:
            self._line = (self._line + rest)[:LINE_BYTES]
        else:
            self._dropped += rest.count(b"\n")
            self._line.clear()

    def close(self) -> None:
        """The child has ended: forwards an unfinished last line, says how many were held back."""
        if self._lines_left:
            self._forward(self._line)
        self._line.clear()
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._logger.warning("child.output_dropped", pid=self._pid, lines=self._dropped)
            self._dropped = 0

    def _forward(self, line: bytes | bytearray) -> None:
        self._lines_left -= 1
        text = bounded_head(line.decode("utf-8", "replace"), LINE_BYTES).rstrip()
        if text:
            self._logger.info("child.output", pid=self._pid, job_id=self._job_id, line=text)
