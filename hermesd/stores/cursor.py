"""The place in a listing, opaque to clients: the id of the last job that was given out."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from hermesd.core.errors import InvalidValue

_PREFIX: Final = b"j1:"
MAX_CURSOR_LENGTH: Final = 400


def cursor_after(job_id: str) -> str:
    """The cursor of the page that goes on below `job_id`."""
    return urlsafe_b64encode(_PREFIX + job_id.encode()).decode().rstrip("=")


def job_id_of(cursor: str) -> str:
    """The job id within a cursor; raises InvalidValue for what is none."""
    try:
        if len(cursor) > MAX_CURSOR_LENGTH:
            raise ValueError
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        plain = urlsafe_b64decode(padded)
        if not plain.startswith(_PREFIX):
            raise ValueError
        return plain[len(_PREFIX) :].decode()
    except (ValueError, binascii.Error):
        raise InvalidValue("cursor is not one that a listing has given out") from None
