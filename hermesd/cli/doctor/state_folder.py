"""The folder in which systemd keeps the daemon's state (systemd.exec(5), StateDirectory=)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hermesd.cli.doctor.machine import TEMPLATE

STATE: Final = Path("/var/lib/hermesd")
# With DynamicUser= it is here, where nobody but root and the unit's own processes get to.
PRIVATE: Final = Path("/var/lib/private/hermesd")
UNITS: Final = tuple(
    Path(folder, TEMPLATE)
    for folder in ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
)


def made_by_unit(folder: Path) -> bool:
    """Whether the installed unit makes it at its first start."""
    return folder == STATE and any(each.exists() for each in UNITS)


def given_to(folder: Path, user_id: int) -> bool:
    """Whether systemd has given it to that user, who sees it from within the unit alone."""
    return folder.resolve() == PRIVATE and PRIVATE.stat().st_uid == user_id
