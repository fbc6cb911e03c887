"""Says that this api and its workers live, and takes over what dead ones gave out to workers here.

An api whose row is not renewed for a TTL is struck out, and its running jobs are anybody's who has
their worker: held from then on like one's own, so that timeouts, cancels and lost leases are looked
after. An api that was struck out while it stood still finds its jobs adopted, and lets them go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from hermesd.api.hold import adopt, is_with
from hermesd.api.lines import Lines
from hermesd.api.outage import Outage
from hermesd.api.state import ApiState
from hermesd.config.sections import LivenessSection
from hermesd.core.apis import ApiLife, Watch
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import Job
from hermesd.core.workerview import Held, WorkerView

MOST_ADOPTED: Final = 1000  # in one commit
RETRY_SECONDS: Final = 1.0


class Adopter:
    """The agent of one api among others; `tell_workers` says which workers it has heard.

    Alone it writes no more than that and its own row.
    """

    def __init__(self, state: ApiState, lines: Lines, tell_workers: Callable[[], Awaitable[None]]):
        self._state = state
        self._lines = lines
        self._tell_workers = tell_workers
        self._life = ApiLife(name=state.name, boot=state.boot, url=state.url)
        self._period = period_seconds(state.config.liveness)
        self._watch = Watch(state.config.liveness.ttl_seconds)
        self._last_pass = state.clock.monotonic()
        self._seen: tuple[frozenset[str], ...] = ()  # other apis and workers, at the last pass
        self._in_doubt = False  # what is held here may not be what the store says

    async def begin(self) -> None:
        """Be known before the first job is given out; an earlier life's jobs stay its own."""
        await self._state.apis.renew(self._life)

    async def leave(self) -> None:
        """The others need not wait for the TTL; a store that is away makes them."""
        try:
            await self._state.apis.retire(self._life)
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.warning("cannot retire", why=error.detail)

    async def run(self) -> None:
        """One pass a period, for ever."""
        outage = Outage(
            self._state.log, "cannot renew this api's row", "this api's row is renewed", passes=2
        )
        pause = self._period
        while True:
            await trio.sleep(pause)
            pause = self._period
            try:
                await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                # Nobody could renew anything meanwhile, and the last answer may be lost.
                self._watch.forget()
                self._in_doubt = True
                outage.failed(error)
                pause = min(RETRY_SECONDS, self._period)  # or the others take workers for silent
            else:
                outage.worked()

    async def run_once(self) -> None:
        """Renew, look after the others, adopt."""
        now = self._state.clock.monotonic()
        elapsed = min(now - self._last_pass, 2 * self._period)
        self._last_pass = now
        if not await self._renew():
            self._state.log.warning("this api was taken for dead")
            self._in_doubt = True
        lives = [life for life in await self._state.apis.lives() if life.name != self._state.name]
        names = frozenset(life.name for life in lives)
        for life in self._watch.look(lives, elapsed):
            if await self._state.apis.dismiss(life):
                self._state.log.warning("api is gone", api=life.name, last_seen=life.last_seen)
                names -= {life.name}
        if self._in_doubt:
            await self._compare()
        seen = names, frozenset(view.incarnation for view in self._state.registry)
        if seen != self._seen:
            await self._adopt()
        self._seen = seen

    async def _renew(self) -> bool:
        """Renew, with all else that is written at every pass, at once so that it shares a commit.

        False where this api's row was struck out.
        """
        errors: list[Unavailable | OutcomeUnknown] = []
        known = True

        async def renew() -> None:
            nonlocal known
            known = await self._state.apis.renew(self._life)

        async def attempt(write: Callable[[], Awaitable[None]]) -> None:
            try:
                await write()
            except (Unavailable, OutcomeUnknown) as error:
                errors.append(error)

        others = bool(self._seen and self._seen[0])
        async with trio.open_nursery() as nursery:
            for write in (renew, self._tell_workers, *((self._adopt,) if others else ())):
                nursery.start_soon(attempt, write)
        if errors:
            raise errors[0]
        return known

    async def _adopt(self) -> None:
        """Take over the jobs of workers that are registered here, whose own api is gone."""
        found = MOST_ADOPTED
        while found == MOST_ADOPTED:
            seen = [view.incarnation for view in self._state.registry if not view.condemned]
            if not seen:
                return
            ids = await self._state.apis.adopt(self._state.name, seen, MOST_ADOPTED)
            found = len(ids)
            if ids:
                await self._take(ids)

    async def _take(self, ids: Sequence[str]) -> None:
        try:
            jobs = await self._state.reader.get_many(ids)
        except BaseException:
            self._in_doubt = True
            raise
        for job in jobs:
            self._hold(job)
        self._state.log.warning("jobs adopted", jobs=len(jobs))

    def _hold(self, job: Job) -> None:
        view = self._state.registry.get(job.incarnation or "")
        if view is None or not is_with(job, view.incarnation):
            return
        held = view.held.get(job.id)
        if held is None or held.job.lease < job.lease:
            # A heartbeat that is on its way already may be older than the job's arrival there.
            adopt(self._state, view, job, view.heartbeat_number + 1, begun=True)
        if job.cancel_requested:
            self._lines.poke(view.incarnation)

    async def _compare(self) -> None:
        """Hold what the store says that this api has assigned, and nothing else."""
        held: list[tuple[WorkerView, Held]] = [
            (view, each) for view in self._state.registry for each in view.held.values()
        ]
        rows = {job.id: job for job in await self._state.reader.assigned(self._state.name)}
        for view, each in held:
            row = rows.get(each.job.id)
            if row is None or row.lease != each.job.lease:
                view.drop(each.job.id, each.job.lease)
        known = {each.job.token for _, each in held}
        self._lines.adopt_later([job.id for job in rows.values() if job.token not in known])
        self._in_doubt = False


def period_seconds(liveness: LivenessSection) -> float:
    """How often an api says that it lives, and which workers it has heard since.

    So often that a worker which one api hears is not silent for the others, and no more, since this
    is most of what an idle api writes.
    """
    spare = (liveness.ttl_seconds - liveness.heartbeat_seconds) / 2
    return min(liveness.heartbeat_seconds, spare)
