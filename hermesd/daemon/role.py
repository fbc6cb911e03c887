"""What one daemon is."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Api, worker, or both in one process."""

    API = "api"
    WORKER = "worker"
    BOTH = "both"

    @property
    def serves_api(self) -> bool:
        """Whether it accepts submits."""
        return self is not Role.WORKER

    @property
    def works(self) -> bool:
        """Whether it runs jobs."""
        return self is not Role.API
