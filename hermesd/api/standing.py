"""What the tries on one dispatch path tell: whether it works, and whether its worker is dead."""

from __future__ import annotations

from typing import Protocol

from hermesd.api.path import Fate, Try
from hermesd.core.workerview import WorkerView
from hermesd.ports import Clock


class PathHooks(Protocol):
    """Who wants to know of one worker's path."""

    def dead(self, view: WorkerView, evidence: str) -> None:
        """The process behind this incarnation is proven dead."""

    def routable(self, view: WorkerView) -> None:
        """The path works (again)."""

    def unroutable(self, view: WorkerView, reason: str) -> None:
        """The path does not work."""

    def dispatched(self, view: WorkerView, jobs: int, seconds: float) -> None:
        """A batch was answered."""


class Standing:
    """Trips and resets the breaker of a worker's path."""

    def __init__(self, view: WorkerView, clock: Clock, hooks: PathHooks, refusal_seconds: float):
        self._view = view
        self._clock = clock
        self._hooks = hooks
        self._refusal_seconds = refusal_seconds
        self._first_refusal: float | None = None

    def reset(self) -> None:
        """The worker has answered."""
        self._first_refusal = None
        self._view.breaker.reset()
        self._hooks.routable(self._view)

    def trip(self, reason: str) -> None:
        """Something speaks against the path."""
        if self._view.breaker.trip(self._clock.monotonic(), reason):
            self._hooks.unroutable(self._view, reason)

    def failed(self, tried: Try, *, stream_open: bool) -> None:
        """A try was not answered as it should be; the control stream of the worker is open."""
        self.trip(tried.reason)
        if tried.refused:
            self._refused(stream_open=stream_open)
        if tried.fate is Fate.ANOTHER:
            self._hooks.dead(self._view, tried.reason)

    def _refused(self, *, stream_open: bool) -> None:
        """Two refusals apart, with no word from the worker between, prove that it is dead."""
        now = self._clock.monotonic()
        first = self._first_refusal
        if first is None or self._view.last_message > first:
            self._first_refusal = now
            again = now + self._refusal_seconds
            self._view.breaker.probe_at = min(self._view.breaker.probe_at, again)
        elif now - first >= self._refusal_seconds * 0.9 and not stream_open:
            self._hooks.dead(self._view, "its control stream is closed and its address refuses")
