"""The place in a listing, opaque to clients: the id of the last job that was given out."""

from __future__ import annotations

from typing import Final

from hermesd.core.errors import InvalidValue
from hermesd.core.opaque import opened, sealed

_KIND: Final = "j1"


def cursor_after(job_id: str) -> str:
    """The cursor of the page that goes on below `job_id`."""
    return sealed(_KIND, job_id)


def job_id_of(cursor: str) -> str:
    """The job id within a cursor; raises InvalidValue for what is none."""
    job_id = opened(_KIND, cursor)
    if job_id is None:
        raise InvalidValue("cursor is not one that a listing has given out")
    return job_id
