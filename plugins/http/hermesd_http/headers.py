"""The headers of a call: those of the payload, checked, and those that hermesd adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 section 5.6.2, token
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")  # section 5.5, with obs-text
_OURS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class HeaderRefused(ValueError):
    """A header of the payload cannot be sent. The message names it, and never its value."""


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` with names in lower case; raises HeaderRefused for the first that cannot be sent.

    Refused are names and values outside of RFC 9110's grammar (so no line break gets through),
    names given twice, and what belongs to the connection or to hermesd.
    """
    checked: dict[str, str] = {}
    for name, value in headers.items():
        folded = name.lower()
        if not _NAME.match(name):
            raise HeaderRefused(f"{name[:80]!r} is no header name")
        if folded in _OURS or folded.startswith("x-hermes-"):
            raise HeaderRefused(f"header {name[:80]!r} is set by hermesd")
        if folded in checked:
            raise HeaderRefused(f"header {name[:80]!r} is given twice")
        if not _VALUE.match(value):
            raise HeaderRefused(f"the value of header {name[:80]!r} holds a character it may not")
        checked[folded] = value
    return checked


def job_headers(job_id: str, run: int, attempt: int) -> dict[str, str]:
    """What a receiver needs to recognize a repeated call: the key is the same for every attempt."""
    return {
        "idempotency-key": f"{job_id}-{run}",
        "x-hermes-job-id": job_id,
        "x-hermes-attempt": str(attempt),
    }
