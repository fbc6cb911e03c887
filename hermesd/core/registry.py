"""The workers of one api, and which of them can take a type."""

from __future__ import annotations

from collections.abc import Iterator

from hermesd.core.roster import Roster
from hermesd.core.workerview import Held, WorkerView


class Registry:
    """The workers of one api by incarnation, with an index from type to those that speak it."""

    def __init__(self) -> None:
        self._views: dict[str, WorkerView] = {}
        self._speakers: dict[str, tuple[WorkerView, ...]] = {}
        self._rosters: dict[tuple[str, str], Roster] = {}
        self._alike: dict[tuple[tuple[WorkerView, str], ...], Roster] = {}
        self._turn = 0

    def __iter__(self) -> Iterator[WorkerView]:
        return iter(tuple(self._views.values()))

    def __len__(self) -> int:
        return len(self._views)

    def get(self, incarnation: str) -> WorkerView | None:
        """The view of an incarnation, if it is registered here."""
        return self._views.get(incarnation)

    def add(self, view: WorkerView) -> None:
        """Register, or renew the index after a repeated Register."""
        self._views[view.incarnation] = view
        self._reindex()

    def remove(self, incarnation: str) -> WorkerView | None:
        """Forget an incarnation."""
        view = self._views.pop(incarnation, None)
        self._reindex()
        return view

    def speakers(self, job_type: str) -> tuple[WorkerView, ...]:
        """The workers that can run a type, routable or not."""
        found = self._speakers.get(job_type)
        if found is None:
            found = tuple(v for v in self._views.values() if v.kind_of(job_type) is not None)
            self._speakers[job_type] = found
        return found

    def roster(self, job_type: str, queue: str) -> Roster:
        """Those that can run jobs of a type out of a queue; the same for all that have the same."""
        found = self._rosters.get((job_type, queue))
        if found is None:
            members = tuple(
                (view, kind)
                for view in self.speakers(job_type)
                if queue in view.queues and (kind := view.kind_of(job_type)) is not None
            )
            found = self._alike.get(members) or Roster(members)
            self._rosters[job_type, queue] = self._alike[members] = found
        return found

    def next_turn(self) -> int:
        """A number that rises with every choice, for breaking ties fairly."""
        self._turn += 1
        return self._turn

    def holder(self, job_id: str, lease: int) -> tuple[WorkerView, Held] | None:
        """Who holds a lease, as far as this api knows."""
        for view in self._views.values():
            held = view.held.get(job_id)
            if held is not None and held.job.lease == lease:
                return view, held
        return None

    def _reindex(self) -> None:
        self._speakers.clear()
        self._rosters.clear()
        self._alike.clear()
        for number, view in enumerate(self._views.values()):
            view.enrol(number, self._reindex)
