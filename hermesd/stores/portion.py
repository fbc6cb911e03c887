"""How much of what jobs carry is read at once: a payload or a result may be megabytes long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_BYTES: Final = 8 * 1024 * 1024  # of payloads and results; a store has them several times


def portion(sized: Iterable[tuple[str, int]], most_bytes: int = MOST_BYTES) -> list[str]:
    """The first of (id, bytes) that have no more than `most_bytes` together; one at least."""
    ids: list[str] = []
    for job_id, size in sized:
        most_bytes -= size
        if most_bytes < 0 and ids:
            break
        ids.append(job_id)
    return ids
