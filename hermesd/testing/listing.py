"""All jobs of a store at once, for tests that have few."""

from __future__ import annotations

from typing import Final

from hermesd.core.records import JobFilter
from hermesd.ports import JobReader

_EVERY: Final = JobFilter()
_PAGE_JOBS: Final = 1000


async def all_ids(reader: JobReader, wanted: JobFilter = _EVERY) -> list[str]:
    """The ids of the jobs that fit, the oldest first."""
    found: list[str] = []
    page = await reader.page(wanted, None, _PAGE_JOBS)
    found += (job.id for job in page.jobs)
    while page.next_cursor is not None:
        page = await reader.page(wanted, page.next_cursor, _PAGE_JOBS)
        found += (job.id for job in page.jobs)
    return found[::-1]
