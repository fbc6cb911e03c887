"""Finds what is gone, and gives its jobs back: silent and dead workers, overdue and stray jobs.

Rescue is part of the daemon and on by default (invariant 6). Silence is counted in this api's own
ticks, at most TICK_SECONDS each and nothing of those in which it stood still; silence.py judges it.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.api.giveback import GiveBack
from hermesd.api.hold import adopt
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.outage import Outage
from hermesd.api.silence import Silence
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.events import EventKind
from hermesd.core.fleet import Incarnation
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.outcome import Outcome, OutcomeKind, Settlement, settle
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView

TICK_SECONDS = 1.0
STOOD_SECONDS = 3.0  # between two ticks: this process did not run
RETRY_SECONDS = 0.5
LEFT = "deregistered"
ORPHANS_EVERY_TICKS = 5
FORGET_EVERY_TICKS = 600


class Reaper:
    """The agent that rescues; `bury` is called for proven deaths as well."""

    def __init__(self, state: ApiState, lines: Lines, ledger: Ledger):
        self._state = state
        self._lines = lines
        self._giveback = GiveBack(state, ledger)
        self._last_tick = state.clock.monotonic()
        self._ticks = 0
        self._heard: set[str] = set()
        self._silence = Silence(state)
        # Jobs that an earlier life of this api gave out, by incarnations that are absent still.
        self._earlier: dict[str, list[str]] = {}

    def heard(self, incarnation: str) -> None:
        """A heartbeat has come; the store is told with the next `tell_store`."""
        self._heard.add(incarnation)

    async def tell_store(self) -> None:
        """Say which incarnations were heard; raises Unavailable or OutcomeUnknown."""
        heard, self._heard = sorted(self._heard), set()
        if not heard:
            return
        try:
            alive = await self._state.fleet.heard(heard)
        except BaseException:
            self._heard.update(heard)
            raise
        for incarnation, living in zip(heard, alive, strict=True):
            view = self._state.registry.get(incarnation)
            if not living and view is not None:
                await self.bury(view, "fenced by another api", proven_dead=False)

    def remember(self, jobs: Sequence[Job]) -> None:
        """Running jobs that an earlier life of this api gave out, until their workers register."""
        for job in jobs:
            self._earlier.setdefault(job.incarnation or "", []).append(job.id)

    def earlier(self, incarnation: str) -> Sequence[str]:
        """The ids of those that the incarnation was given."""
        return self._earlier.get(incarnation, ())

    def forget_earlier(self, incarnation: str) -> None:
        """They are somebody else's business: the incarnation has registered, or left for good."""
        self._earlier.pop(incarnation, None)

    async def run(self) -> None:
        """One tick a second, for ever; a store that is away delays the rescue."""
        outage = Outage(
            self._state.log, "cannot rescue yet", "rescuing again", passes=ORPHANS_EVERY_TICKS + 1
        )
        while True:
            await trio.sleep(TICK_SECONDS)
            # Whatever arrived while this process did not run is read before anyone is judged.
            await trio.lowlevel.checkpoint()
            try:
                await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                self._silence.forget()
                outage.failed(error)
            else:
                outage.worked()

    async def run_once(self) -> None:
        """One pass over everything that may be gone."""
        now = self._state.clock.monotonic()
        elapsed = _counted(now - self._last_tick)
        self._last_tick = now
        self._ticks += 1
        await self._judge_silence(elapsed)
        await self._overrule(now)
        await self._adopt_strays()
        if self._ticks % ORPHANS_EVERY_TICKS == 0:
            await self._giveback.orphans()
        if self._ticks % FORGET_EVERY_TICKS == 0:
            await self._state.fleet.forget(24 * 3600.0)

    async def bury(self, view: WorkerView, cause: str, *, proven_dead: bool) -> None:
        """Fence an incarnation and give its jobs back; repeats until the store took it."""
        while self._state.registry.get(view.incarnation) is view:
            view.condemned = True
            self._lines.close(view.incarnation)
            await self._state.unrecorded.none_of(view)
            try:
                await self._bury(view, cause, proven_dead=proven_dead)
            except (Unavailable, OutcomeUnknown) as error:
                self._state.log.warning("cannot fence yet", why=error.detail)
                await trio.sleep(RETRY_SECONDS)

    async def depart(self, view: WorkerView) -> None:
        """A worker has left for good: what it still held, if anything, was not begun or is lost."""
        await self.bury(view, LEFT, proven_dead=False)

    async def bury_absent(self, known: Incarnation, cause: str) -> None:
        """Fence an incarnation that is proven dead and was never registered here; charge its jobs.

        Raises Unavailable or OutcomeUnknown where the store did not take it.
        """
        released = 0
        if known.incarnation in await self._silence.living():
            released = await self._giveback.charge(known.incarnation, frozenset())
        await self._state.fleet.fence(known.incarnation, silent_for_seconds=None)
        self.forget_earlier(known.incarnation)
        self._tell_eviction(known.worker_id, known.incarnation, cause, released)
        await self._giveback.orphans()

    async def release_unlisted(self, view: WorkerView, lost_leases: Sequence[Held]) -> int:
        """Leases that a worker should have and does not list: they are nowhere, so queue them.

        Answers how many they were. Those whose outcome has come another way are about to be
        settled, or are already.
        """
        has = self._state.unrecorded.has
        return await self._giveback.release(
            view, [(held, False) for held in lost_leases if not has(held.job.token)]
        )

    async def _bury(self, view: WorkerView, cause: str, *, proven_dead: bool) -> None:
        # One that is fenced has been given up for its silence, or has come back as another one or
        # left: none of that counts against a job, whatever its old address says.
        dead = proven_dead and view.incarnation in await self._silence.living()
        # Before the fence, since whoever sees that first releases all its jobs, and charges none.
        held = list(view.held.values())
        released = await self._giveback.release(view, [(h, dead and h.batch > 0) for h in held])
        if dead:
            own = frozenset(each.job.id for each in held)
            released += await self._giveback.charge(view.incarnation, own)
        await self._state.fleet.fence(view.incarnation, silent_for_seconds=None)
        if self._state.registry.get(view.incarnation) is not view:
            return
        self._state.registry.remove(view.incarnation)
        if cause == LEFT:
            self._state.log.info(
                "worker left", worker_id=view.worker_id, incarnation=view.incarnation
            )
        else:
            self._tell_eviction(view.worker_id, view.incarnation, cause, released)
        await self._giveback.orphans()

    def _tell_eviction(self, worker_id: str, incarnation: str, cause: str, released: int) -> None:
        self._state.ring.publish(EventKind.EVICTED, worker_id=worker_id, message=cause)
        self._state.log.warning(
            "worker evicted",
            worker_id=worker_id,
            incarnation=incarnation,
            why=cause,
            released=released,
        )

    async def _judge_silence(self, elapsed: float) -> None:
        ttl = self._state.config.liveness.ttl_seconds
        silent, elsewhere = await self._silence.registered(elapsed)
        for view in silent:
            await self.bury(view, f"not heard of for {ttl:g} s", proven_dead=False)
        for view in elsewhere:
            await self._lose_sight(view)
        look = self._ticks % ORPHANS_EVERY_TICKS == 1
        for incarnation in await self._silence.absent(elapsed, look=look):
            self.forget_earlier(incarnation)
            self._state.log.warning("absent worker evicted", incarnation=incarnation)
            await self._giveback.orphans()

    async def _lose_sight(self, view: WorkerView) -> None:
        """Another api hears it: leave the worker to that one, with the jobs that it may have."""
        view.draining = True  # unroutable, should a pass fail; its next heartbeat says how it is
        self._lines.close(view.incarnation)
        unsent = [held for held in view.held.values() if not held.batch]
        await self._giveback.release(view, [(held, False) for held in unsent])
        await self._state.apis.disown(self._state.name, view.incarnation)
        self._state.registry.remove(view.incarnation)
        self._state.log.warning(
            "worker is heard by other apis only",
            worker_id=view.worker_id,
            incarnation=view.incarnation,
            left=len(view.held) - len(unsent),
        )

    async def _overrule(self, now: float) -> None:
        """End jobs whose worker did not end them in time."""
        for view in self._state.registry:
            late = [held for held in view.held.values() if now >= held.deadline]
            if not late:
                continue
            utc = self._state.clock.utc()
            settlements = [self._overruled(held.job, utc) for held in late]
            view.revoked.update(held.job.token for held in late)
            await self._giveback.settle(view, [held.job for held in late], settlements)
            self._lines.poke(view.incarnation)

    def _overruled(self, job: Job, utc: float) -> Settlement:
        error = ErrorInfo(
            kind="timeout",
            message=f"worker {job.worker_id} did not end it within {job.timeout:g} s and the grace",
        )
        outcome = Outcome(token=job.token, kind=OutcomeKind.FAILED, error=error)
        return settle(outcome, job, utc, self._state.chance())

    async def _adopt_strays(self) -> None:
        """Running jobs that nobody sent: held as if sent, so that the next heartbeat settles it."""
        strays = self._lines.take_strays()
        if not strays:
            return
        try:
            jobs = await self._state.reader.get_many(sorted(strays))
        except BaseException:
            self._lines.adopt_later(sorted(strays))
            raise
        for job in jobs:
            view = self._state.registry.get(job.incarnation or "")
            if job.state is not State.RUNNING or view is None:
                continue
            if job.assigned_by != self._state.name:
                continue  # whether its worker lists it is that api's to judge
            held = view.held.get(job.id)
            if held is None or held.job.lease < job.lease:
                adopt(self._state, view, job, view.heartbeat_number, begun=False)
            elif held.job.lease == job.lease and job.cancel_requested:
                held.job = job
                self._lines.poke(view.incarnation)


def _counted(seconds: float) -> float:
    """How much silence so long a tick comes to.

    After a stop it is nothing, since what arrived meanwhile has not been read yet.
    """
    return min(seconds, TICK_SECONDS) if seconds < STOOD_SECONDS else 0.0
