"""What a job tells while somebody watches: changes of its state, its progress, its log."""

from __future__ import annotations

from collections.abc import Iterator

from hermesd.cli.tables import progress_text, state_text
from hermesd.client import Client, JobView, LogLine


class Watcher:
    """Tells from view to view what is new of one job."""

    def __init__(self, client: Client, job: JobView) -> None:
        self._client = client
        self._seen = (state_text(job), progress_text(job))
        self._after = 0

    def news(self, now: JobView) -> Iterator[str]:
        """A line for people for each: the state, what was logged, the progress."""
        before, self._seen = self._seen, (state_text(now), progress_text(now))
        state, progress = self._seen
        if state != before[0] and not now.state.terminal:
            yield f"{now.id} {state}" + (f" on {now.worker_id}" if now.worker_id else "")
        for line in self.lines(now):
            yield f"{now.id} {line.level}: {line.line}"
        if progress and progress != before[1]:
            yield f"{now.id} {progress}"

    def lines(self, now: JobView) -> Iterator[LogLine]:
        """What was logged since the last look; nothing by an api that keeps no logs."""
        if now.logs_dropped is not None:
            for line in self._client.iter_logs(now.id, after=self._after):
                self._after = line.number
                yield line
