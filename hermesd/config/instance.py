"""A daemon's instance: its role, and what tells several of one role on one machine apart.

It is what stands behind the @ in the name of a systemd unit: `worker`, `worker-2`, `api-blue`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hermesd.config.layers import Layer
from hermesd.core.errors import InvalidValue

ROLES: Final = ("api", "worker", "both")
OVERLAY_SUFFIX: Final = ".d"
MAX_CHARS: Final = 63  # beside a host's name in a worker's id
_NAME: Final = re.compile(rf"({'|'.join(ROLES)})(?:-([A-Za-z0-9][A-Za-z0-9_.-]*))?", re.ASCII)


@dataclass(frozen=True)
class Instance:
    """`name` is the whole; `suffix` is empty for the only or the first one of its role."""

    name: str
    role: str
    suffix: str = ""

    def overlay(self, base: Path) -> Path:
        """The file that is laid over `base` for this instance: /etc/hermes.d/NAME.toml."""
        return base.with_suffix(OVERLAY_SUFFIX) / f"{self.name}.toml"

    def defaults(self, host: str) -> Layer:
        """What files and variables override: names of its own, and a port for a further worker.

        Only its apis need to know a worker's port, and it tells them. A further api has to be
        given ports that its clients know.
        """
        tree: dict[str, Any] = {"worker": {"id": f"{host}-{self.name}"}}
        if self.suffix:
            tree["worker"]["port"] = 0
            tree["api"] = {"name": f"{host}-{self.name}"}
        return Layer(f"instance {self.name}", Path(), tree)


def parse_instance(text: str) -> Instance:
    """The instance of that name; raises InvalidValue that says what names there may be."""
    found = _NAME.fullmatch(text)
    if not found or len(text) > MAX_CHARS:
        forms = ", ".join(f"{role} or {role}-SUFFIX" for role in ROLES)
        raise InvalidValue(
            f"{text!r} is no instance: its name is {forms} (the suffix of letters, digits, "
            f"'-', '_' and '.'; {MAX_CHARS} characters in all)"
        )
    return Instance(text, found[1], found[2] or "")
