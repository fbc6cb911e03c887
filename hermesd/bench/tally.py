"""What has come of the load so far: counted by the senders, read by the progress and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from hermesd.bench.latencies import Timeline

MAX_KINDS: Final = 50
OTHER: Final = "other"


class Tally:
    """Counts of one run; `began` is on the clock that `now` of every call is from."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.last_answer = began
        self.requests = 0
        self.accepted_jobs = 0
        self.refused_jobs = 0
        self.recorded_jobs = 0
        self.timeline = Timeline()
        self._errors: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()

    @property
    def errors(self) -> Mapping[str, int]:
        """Submits that were given up, by kind."""
        return dict(self._errors.most_common())

    @property
    def retries(self) -> Mapping[str, int]:
        """Submits that were repeated, by the reason."""
        return dict(self._retries.most_common())

    def accepted(self, jobs: int, due: float, now: float) -> None:
        """A submit due at `due` got its 2xx."""
        self.accepted_jobs += jobs
        self._answered(now)
        self.timeline.add(now - self.began, now - due)

    def given_up(self, kind: str, jobs: int, now: float) -> None:
        """A submit got a last answer that is no 2xx, or none."""
        self.refused_jobs += jobs
        self._answered(now)
        _count(self._errors, kind)

    def repeated(self, kind: str) -> None:
        """A submit is made again."""
        _count(self._retries, kind)

    def _answered(self, now: float) -> None:
        self.requests += 1
        self.last_answer = now


def _count(counter: Counter[str], kind: str) -> None:
    """Kinds come from the other side, so their number is bounded."""
    counter[kind if kind in counter or len(counter) < MAX_KINDS else OTHER] += 1
