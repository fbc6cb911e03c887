"""Workers that the store calls living and that have not registered with this life of the api.

After a restart of the api some of them are dead, above all the one that lived in the same process.
Waiting for the heartbeats' time limit would be slow, and would not charge the job that killed
them; their dispatch address tells sooner: refused twice, or answered by another incarnation. Where
there are other apis, that may be between this one and the worker only: nobody must hear it either.
"""

from __future__ import annotations

import trio

from hermesd.api.adopter import period_seconds
from hermesd.api.path import DispatchPath, Fate
from hermesd.api.reap import Reaper
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.fleet import Incarnation

REFUSALS = 2
COMMIT_SECONDS = 1.0


class Absentees:
    """The agent that looks for them once, at the api's start; later ones are the reaper's."""

    def __init__(self, state: ApiState, reaper: Reaper):
        self._state = state
        self._reaper = reaper
        self._liveness = state.config.liveness

    async def run(self) -> None:
        """Judge each, for as long as silence alone would not."""
        try:
            lives = await self._state.apis.lives()
            living = await self._state.fleet.living()
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.warning("cannot look for absent workers", why=error.detail)
            return
        alone = all(life.name == self._state.name for life in lives)
        async with trio.open_nursery() as nursery:
            for known in living:
                nursery.start_soon(self._judge, known, alone)

    async def _judge(self, known: Incarnation, alone: bool) -> None:
        with trio.move_on_after(self._liveness.ttl_seconds):
            evidence = await self._evidence(known)
            if evidence and not alone:
                # Until the store knows of a heartbeat that another api has had or will have.
                told = period_seconds(self._liveness) + COMMIT_SECONDS
                await trio.sleep(self._liveness.heartbeat_seconds + told)
            while evidence:
                try:
                    if not alone and await self._is_heard(known):
                        return  # by another api, or by this one meanwhile
                    await self._reaper.bury_absent(known, evidence)
                    return
                except (Unavailable, OutcomeUnknown) as error:
                    self._state.log.warning("cannot fence yet", why=error.detail)
                    await trio.sleep(self._liveness.refusal_interval_seconds)

    async def _is_heard(self, known: Incarnation) -> bool:
        if self._state.registry.get(known.incarnation) is not None:
            return True
        living = await self._state.fleet.living()
        return any(
            each.incarnation == known.incarnation and each.last_seen != known.last_seen
            for each in living
        )

    async def _evidence(self, known: Incarnation) -> str:
        """Why it is dead; empty where it has registered, or answers."""
        path = DispatchPath(known.address, known.incarnation)
        refusals = 0
        try:
            while self._state.registry.get(known.incarnation) is None:
                tried = await path.probe(self._liveness.probe_timeout_seconds)
                if tried.fate is Fate.ANOTHER:
                    return tried.reason
                if tried.fate is Fate.ANSWERED:
                    return ""
                refusals = refusals + 1 if tried.refused else 0
                if refusals >= REFUSALS and self._state.registry.get(known.incarnation) is None:
                    return "it has not registered, and its address refuses"
                await trio.sleep(self._liveness.refusal_interval_seconds)
            return ""
        finally:
            with trio.CancelScope(shield=True):
                await path.aclose()
