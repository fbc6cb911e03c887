"""Open files: a burst needs one a submit."""

from __future__ import annotations

import resource
from typing import Final

from hermesd.core.errors import InvalidValue

_OWN: Final = 64  # what the process has open besides


def allow(connections: int) -> None:
    """Raise this process's limit for so many connections; InvalidValue where that may not be."""
    wanted = connections + _OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise InvalidValue(
            f"{connections} connections need {wanted} open files, the limit is {hard}: "
            "raise it (ulimit -Hn), or use fewer"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
