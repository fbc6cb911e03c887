"""The urls of stores, by their schemes."""

from __future__ import annotations

from typing import Final

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = ("postgresql://", "postgres://")
