"""The parts of the store tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import structlog

from hermesd.stores.sqlite import SqliteStore, open_sqlite
from hermesd.testing.clock import ManualClock
from stores.held import HeldBackend, SlowAhead

pytest.register_assert_rewrite("hermesd.testing.conformance")

Opener = Callable[..., AbstractAsyncContextManager[SqliteStore]]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated file without a job, made once: migrating takes a second."""
    # Late: only this fixture and the migration tests may load the migration tool.
    from hermesd.stores.migrate import upgrade

    path = tmp_path_factory.mktemp("schema") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def database(tmp_path: Path, empty_database: bytes) -> Path:
    """A fresh file with the present schema."""
    path = tmp_path / "hermes.db"
    path.write_bytes(empty_database)
    return path


@pytest.fixture
def opener(database: Path, clock: ManualClock) -> Opener:
    """Opens the store; what is given overrides the defaults."""

    def opened(**given: Any) -> AbstractAsyncContextManager[SqliteStore]:
        settings: dict[str, Any] = {
            "clock": clock,
            "max_group": 100,
            "max_pending": 10_000,
            "busy_timeout_seconds": 5.0,
            "log": structlog.get_logger(),
        }
        return open_sqlite(database, **(settings | given))

    return opened


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[SqliteStore]:
    """An open store."""
    async with opener() as opened:
        yield opened


@pytest.fixture
def backend() -> HeldBackend:
    """It commits nothing until it is let."""
    return HeldBackend()


@pytest.fixture
def ahead() -> SlowAhead:
    """It answers nothing until it is let."""
    return SlowAhead()
