"""Which schema this program knows, without importing the migration tool."""

from __future__ import annotations

from typing import Final

from hermesd.core.errors import ConfigError

# Oldest first; each is a file in migrations/versions.
KNOWN: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0008", "0009", "0010")
HEAD: Final = KNOWN[-1]
VERSION_TABLE: Final = "hermesd_schema"
LOCK: Final = 7_311_868_233_003  # the number of PostgreSQL's advisory lock of who changes tables
LOCK_SECONDS: Final = 60  # for another one who does, or for a table that is in use


def needs_upgrade(found: str | None) -> bool:
    """Whether a database at version `found` (None: empty) is older than this program.

    Raises ConfigError where it is newer: an older program would misread it.
    """
    if found == HEAD:
        return False
    if found is not None and found not in KNOWN:
        raise ConfigError(
            [
                f"[store] the database has schema {found!r}, this hermesd knows up to {HEAD!r}: "
                "it was written by a newer hermesd; install that one, or restore a backup"
            ]
        )
    return True
