"""What a handler in a child process tells of itself: sent over the channel, at a bounded rate."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Final

from hermesd.core.job import Token
from hermesd.core.notes import MAX_LINES
from hermesd.worker.child.frames import Noted, frame

# From one frame with a progress to the next; lines come at once, since they are so many at most.
PAUSE_SECONDS: Final = 0.25


class ChildNotes:
    """See handlers.notes.TakesNotes; for one piece of work, until `close`.

    A progress that comes in the pause after another is kept, and sent by a timer's thread when the
    pause is over. What a fork of the child tells is let go: the channel is its parent's.
    """

    def __init__(self, channel: socket.socket, number: int) -> None:
        self._channel = channel
        self._number = number
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._progress: tuple[float, str] | None = None
        self._pause: threading.Timer | None = None
        self._lines = 0
        self._dropped = 0
        self._closed = False

    def progress(self, token: Token, fraction: float, note: str) -> None:
        """Sent at once, or when the pause is over."""
        if os.getpid() == self._pid:
            with self._lock:
                self._progress = fraction, note
                if self._pause is None:
                    self._send_progress()

    def line(self, token: Token, level: str, line: str) -> None:
        """Sent at once; past the most of a run it is counted."""
        if os.getpid() == self._pid:
            with self._lock:
                self._lines += 1
                if self._lines <= MAX_LINES:
                    self._send(Noted(number=self._number, lines=[(level, line)]))
                else:
                    self._dropped += 1
                    if self._pause is None:
                        self._send_progress()

    def close(self) -> None:
        """Send what is left; what a thread of the handler tells from here on is let go."""
        with self._lock:
            pause, self._pause = self._pause, None
            if self._progress is not None or self._dropped:
                self._send_kept()
            self._closed = True
        if pause is not None:
            pause.cancel()

    def _send_progress(self) -> None:
        self._send_kept()
        if not self._closed:
            self._pause = threading.Timer(PAUSE_SECONDS, self._pause_over)
            self._pause.daemon = True
            with suppress(RuntimeError):  # no thread can be started: the next word takes it along
                self._pause.start()
                return
            self._pause = None

    def _pause_over(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._pause = None
            if self._progress is not None or self._dropped:
                self._send_progress()

    def _send_kept(self) -> None:
        noted = Noted(number=self._number, progress=self._progress, dropped=self._dropped)
        self._progress, self._dropped = None, 0
        self._send(noted)

    def _send(self, noted: Noted) -> None:
        if not self._closed:
            with suppress(OSError):  # the worker is gone, and its child goes with it
                self._channel.sendall(frame(noted))
