"""Which runs have ended lately, to notice one that ends twice (invariant 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hermesd.core.job import Job

REMEMBERED_ENDS: Final = 20_000


class Ends:
    """The runs that ended lately, to see one that ends twice.

    They are kept in two generations, of which the older one is forgotten as a whole: at least half
    of REMEMBERED_ENDS are known, and at most one call's more than all of them.
    """

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()

    def again(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs whose run has ended before; remembers all of them."""
        runs = [_run_of(job) for job in jobs]
        fresh = set(runs)
        doubled: list[Job] = []
        if len(fresh) < len(runs) or not (
            fresh.isdisjoint(self._young) and fresh.isdisjoint(self._old)
        ):
            doubled = self._doubled(jobs, runs)
        self._young |= fresh
        if len(self._young) >= REMEMBERED_ENDS // 2:
            self._old, self._young = self._young, set()
        return doubled

    def _doubled(self, jobs: Sequence[Job], runs: Sequence[str]) -> list[Job]:
        seen: set[str] = set()
        found: list[Job] = []
        for job, run in zip(jobs, runs, strict=True):
            if run in seen or run in self._young or run in self._old:
                found.append(job)
            seen.add(run)
        return found


def _run_of(job: Job) -> str:
    return job.id if job.run == 1 else f"{job.id} {job.run}"
