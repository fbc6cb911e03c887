"""An agent that cannot do its work says so once, and once more when it can again."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import HermesError


class Outage:
    """What one agent tells of one outage; `trouble` and `relief` are the two events.

    Not every try of some agents needs what is out: it is over after `passes` in a row that worked.
    """

    def __init__(
        self, log: FilteringBoundLogger, trouble: str, relief: str, *, passes: int = 1
    ) -> None:
        self._log = log
        self._trouble = trouble
        self._relief = relief
        self._passes = passes
        self._failures = 0
        self._good = 0

    def failed(self, error: HermesError) -> None:
        """Another try was in vain."""
        if not self._failures:
            self._log.warning(self._trouble, why=error.detail)
        self._failures += 1
        self._good = 0

    def worked(self) -> None:
        """A try was not."""
        self._good += 1
        if self._failures and self._good >= self._passes:
            self._log.info(self._relief, failures=self._failures)
            self._failures = 0
