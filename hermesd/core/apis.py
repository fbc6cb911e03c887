"""The apis of one store: their lives, and which of them stand still."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec


class ApiLife(msgspec.Struct, frozen=True, kw_only=True):
    """One life of one api. `url` is where people reach it.

    `last_seen` is in UTC seconds by the store's clock, and moves on with every renewal.
    """

    name: str
    boot: str
    url: str = ""
    last_seen: float = 0.0


class Watch:
    """Finds the lives that nobody renews, by the time that one has watched them oneself.

    So neither a wall clock that jumps nor a store that was away makes an api look dead.
    """

    def __init__(self, ttl_seconds: float) -> None:
        self._ttl_seconds = ttl_seconds
        self._still: dict[ApiLife, float] = {}

    def look(self, lives: Iterable[ApiLife], elapsed: float) -> Sequence[ApiLife]:
        """Those that have not moved for the TTL; `elapsed` is in seconds since the last look."""
        self._still = {
            life: self._still[life] + elapsed if life in self._still else 0.0 for life in lives
        }
        return [life for life, still in self._still.items() if still >= self._ttl_seconds]

    def forget(self) -> None:
        """Nobody was watched for a while: begin anew."""
        self._still.clear()
