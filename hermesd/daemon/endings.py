"""How a daemon ends: its exit status by sysexits.h, and what is said of a start that failed."""

from __future__ import annotations

from typing import Final

from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import ConfigError, HermesError
from hermesd.http.errors import ListenFailed

EX_OK: Final = 0
EX_UNAVAILABLE: Final = 69
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78


def give_up(log: FilteringBoundLogger, error: BaseException) -> int:
    """Log what stopped the start, once a cause; a defect is raised on as it is."""
    causes = _leaves(error)
    if not all(isinstance(cause, (HermesError, ListenFailed)) for cause in causes):
        raise error
    for cause in causes:
        log.error("cannot go on", why=str(cause))
    config = any(isinstance(cause, ConfigError) for cause in causes)
    return EX_CONFIG if config else EX_UNAVAILABLE


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]
