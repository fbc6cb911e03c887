"""How many jobs of each type came and ended at an api, and how long they took, since its start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hermesd.core.sketch import Sketch
from hermesd.core.states import Move

# What a move but a success counts as; a snooze and a release are no end, and no failure.
_ENDS: Final = {
    Move.FAIL: "failed",
    Move.RETURN: "failed",
    Move.RETRY: "retried",
    Move.CANCEL: "cancelled",
}
COUNTED: Final = ("submitted", "started", "succeeded", "failed", "retried", "cancelled")


class TypeFlow:
    """The jobs of one type: numbers, and seconds from submit to start and in a handler.

    `retried` are attempts that failed and are tried again. `wait` has each start of an attempt,
    from the moment at which its job began to wait for it.
    """

    __slots__ = (*COUNTED, "run", "wait")

    submitted: int
    started: int
    succeeded: int
    failed: int
    retried: int
    cancelled: int

    def __init__(self) -> None:
        self.submitted = self.started = 0
        self.succeeded = self.failed = self.retried = self.cancelled = 0
        self.wait = Sketch()
        self.run = Sketch()

    def copy(self) -> TypeFlow:
        """As it is now."""
        made = TypeFlow()
        for name in COUNTED:
            setattr(made, name, getattr(self, name))
        made.wait, made.run = self.wait.copy(), self.run.copy()
        return made

    def minus(self, earlier: TypeFlow) -> TypeFlow:
        """What has come since `earlier`, a copy of this very one."""
        made = TypeFlow()
        for name in COUNTED:
            setattr(made, name, getattr(self, name) - getattr(earlier, name))
        made.wait, made.run = self.wait.minus(earlier.wait), self.run.minus(earlier.run)
        return made

    def merge(self, other: TypeFlow) -> None:
        """Take in all of `other`."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wait.merge(other.wait)
        self.run.merge(other.run)


class Flow:
    """All types by their label, which is bounded (instruments.BoundedLabels)."""

    def __init__(self) -> None:
        self._types: dict[str, TypeFlow] = {}

    def submitted(self, label: str, jobs: int) -> None:
        """So many were accepted."""
        (self._types.get(label) or self._of(label)).submitted += jobs

    def started(self, label: str, waits: Mapping[float, int]) -> None:
        """Attempts began, so many after each of these waits in seconds."""
        flow = self._types.get(label) or self._of(label)
        flow.started += sum(waits.values())
        flow.wait.add_all(waits)

    def succeeded_all(self, label: str, jobs: int, runs: Mapping[float, int]) -> None:
        """So many attempts succeeded; of those that were in a handler, how many for how long."""
        flow = self._types.get(label) or self._of(label)
        flow.succeeded += jobs
        flow.run.add_all(runs)

    def ended(self, label: str, move: Move, run_seconds: float | None) -> None:
        """An attempt ended so, or a job that never ran; after so long in a handler, if in one."""
        flow = self._types.get(label) or self._of(label)
        if move is Move.SUCCEED:  # most of them
            flow.succeeded += 1
        elif (name := _ENDS.get(move)) is not None:
            setattr(flow, name, getattr(flow, name) + 1)
        if run_seconds is not None:
            flow.run.add(run_seconds)

    def run_seconds(self, label: str, share: float) -> float | None:
        """The time in a handler that `share` of the type's attempts stayed within."""
        flow = self._types.get(label)
        return None if flow is None else flow.run.quantile(share)

    def copy(self) -> dict[str, TypeFlow]:
        """As it is now."""
        return {label: flow.copy() for label, flow in self._types.items()}

    def since(self, earlier: Mapping[str, TypeFlow]) -> dict[str, TypeFlow]:
        """What has come since `earlier`, a copy of this; types without any are left out."""
        found: dict[str, TypeFlow] = {}
        for label, flow in self._types.items():
            before = earlier.get(label)
            more = flow.copy() if before is None else flow.minus(before)
            if more.run.total or any(getattr(more, name) for name in COUNTED):
                found[label] = more
        return found

    def _of(self, label: str) -> TypeFlow:
        return self._types.setdefault(label, TypeFlow())


def whole(flows: Iterable[TypeFlow]) -> TypeFlow:
    """All of them together."""
    made = TypeFlow()
    for flow in flows:
        made.merge(flow)
    return made
