"""How tests open the PostgreSQL store."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog

from hermesd.stores.postgres import PostgresStore, open_postgres
from hermesd.stores.postgres.connection import Line


def line_to(url: str, **given: float) -> Line:
    """With limits that no test meets unless it says so."""
    limits = {"connect_seconds": 30.0, "lock_seconds": 30.0, "statement_seconds": 30.0}
    return Line(url=url, **(limits | given))


def opened(
    url: str, *, line: dict[str, float] | None = None, **given: Any
) -> AbstractAsyncContextManager[PostgresStore]:
    """The store at `url`; what is given overrides the defaults."""
    settings: dict[str, Any] = {
        "max_group": 100,
        "max_pending": 10_000,
        "log": structlog.get_logger(),
    }
    return open_postgres(line_to(url, **(line or {})), **(settings | given))
