"""Does what a reloaded configuration asks for beyond being read at each use."""

from __future__ import annotations

from hermesd.config import Config
from hermesd.core.job import Kind
from hermesd.worker.endpoints import Endpoints
from hermesd.worker.execute import Executor
from hermesd.worker.processes import PoolLimits, ProcessPool
from hermesd.worker.pull import Puller
from hermesd.worker.slots import totals_of
from hermesd.worker.state import WorkerState


class Follower:
    """The agent that keeps slots, queues, links and what the apis were told as they should be."""

    def __init__(
        self,
        state: WorkerState,
        executor: Executor,
        pool: ProcessPool,
        endpoints: Endpoints,
        puller: Puller | None,
    ):
        self._state = state
        self._executor = executor
        self._pool = pool
        self._endpoints = endpoints
        self._puller = puller
        self._seen = state.config

    async def run(self) -> None:
        """Follow every change, for ever."""
        while True:
            await self._state.until(lambda config: config is not self._seen)
            self.run_once()

    def run_once(self) -> None:
        """Follow what has changed since the last time; no job that runs is disturbed."""
        before, now = self._seen, self._state.config
        self._seen = now
        if totals_of(now.worker) != totals_of(before.worker):
            self._state.slots.resize(totals_of(now.worker))
            self._executor.resize()
        self._pool.resize(max(self._state.slots.totals[Kind.PROCESS], 1), pool_limits(now))
        if self._puller is not None:
            self._puller.serve(now.worker.queues)
        if now.control.endpoints != before.control.endpoints:
            self._endpoints.look_again()
        if _offer(now) != _offer(before):
            self._state.tell_anew()


def pool_limits(config: Config) -> PoolLimits:
    """The limits of child processes that a configuration asks for."""
    return PoolLimits(
        max_jobs_per_child=config.worker.max_jobs_per_child,
        max_result_bytes=config.worker.max_result_bytes,
    )


def _offer(config: Config) -> tuple[object, ...]:
    """What of it a worker tells the apis as it registers."""
    worker = config.worker
    return totals_of(worker), worker.queues, worker.labels, config.drain.seconds
