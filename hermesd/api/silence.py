"""Judges silence: of workers that are registered here, and of those that the store knows to live.

It is counted by this api's own ticks, so that time in which the api itself did not run, or could
not read the store, is nobody's silence; and a worker is not silent while any api hears it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hermesd.api.state import ApiState
from hermesd.core.workerview import WorkerView


class Silence:
    """What is decided of each; the store has fenced those that are answered as silent."""

    def __init__(self, state: ApiState):
        self._state = state
        self._ttl = state.config.liveness.ttl_seconds
        # Living in the store but not registered here: their silence in seconds.
        self._absent: dict[str, float] = {}
        # Silent here: when the store had last seen them, and their silence as that was read.
        self._in_doubt: dict[str, tuple[float, float]] = {}

    def forget(self) -> None:
        """The store was away: what others heard meanwhile may not be in it yet."""
        self._absent.clear()
        self._in_doubt.clear()

    async def registered(self, elapsed: float) -> tuple[list[WorkerView], list[WorkerView]]:
        """The workers that nobody hears, and those that only other apis hear."""
        silent: list[WorkerView] = []
        elsewhere: list[WorkerView] = []
        living: Mapping[str, float] | None = None
        for view in self._state.registry:
            view.silence_seconds += elapsed
            if view.silence_seconds < self._ttl:
                self._in_doubt.pop(view.incarnation, None)
            elif await self._fence(view.incarnation, self._ttl):
                silent.append(view)
            else:
                living = await self.living() if living is None else living
                heard = await self._is_heard(view, living.get(view.incarnation))
                if heard is not None:
                    (elsewhere if heard else silent).append(view)
        return silent, elsewhere

    async def absent(self, elapsed: float, *, look: bool) -> Sequence[str]:
        """Living incarnations that nobody hears and that are not registered here.

        With `look` the store is asked which those are.
        """
        if look:
            strange = {i for i in await self.living() if self._state.registry.get(i) is None}
            self._absent = {i: self._absent.get(i, 0.0) for i in strange}
        silent = []
        for incarnation in list(self._absent):
            self._absent[incarnation] += elapsed
            if self._absent[incarnation] >= self._ttl:
                del self._absent[incarnation]
                if await self._fence(incarnation, self._ttl):
                    silent.append(incarnation)
        return silent

    async def living(self) -> Mapping[str, float]:
        """When the store last saw each living incarnation, in UTC seconds by its clock."""
        return {known.incarnation: known.last_seen for known in await self._state.fleet.living()}

    async def _is_heard(self, view: WorkerView, seen: float | None) -> bool | None:
        """Whether another api hears a worker that the store has not seen silent for long enough.

        None while that is in doubt. By the store's clock alone it could be so for ever, since that
        may have been set back.
        """
        if seen is None:
            return False
        before, since = self._in_doubt.setdefault(view.incarnation, (seen, view.silence_seconds))
        if seen == before and view.silence_seconds - since < self._ttl:
            return None
        del self._in_doubt[view.incarnation]
        if seen == before:
            await self._fence(view.incarnation, None)
        return seen != before

    async def _fence(self, incarnation: str, silent_for_seconds: float | None) -> bool:
        return await self._state.fleet.fence(incarnation, silent_for_seconds=silent_for_seconds)
