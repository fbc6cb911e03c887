"""What a role loads: each package that it has no use for is memory and time at every start."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEITHER = (
    "aiormq",
    "alembic",
    "click",
    "httpx",
    "opentelemetry",
    "psycopg",
    "pygments",
    "rich",
    "sqlalchemy",
)
API_ONLY = ("anyio", "jsonschema_rs", "litestar", "sqlite3", "yaml")
LOAD = """
import importlib, sys
import hermesd.daemon
importlib.import_module(f"hermesd.daemon.{sys.argv[1]}")
print(*(name for name in sys.argv[2:] if name in sys.modules))
import rich.console
"""


@pytest.mark.parametrize(("role", "useless"), [("worker", NEITHER + API_ONLY), ("api", NEITHER)])
def test_a_role_loads_only_what_it_needs(role: str, useless: tuple[str, ...]) -> None:
    """Not even what other packages would take in for themselves; who wants rich can have it."""
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, role, *useless], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == []
