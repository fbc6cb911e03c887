"""A control group of its own for a machine: systemd takes the one that it is started in as its."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MOUNT: Final = Path("/sys/fs/cgroup")


@contextmanager
def own_groups(name: str) -> Iterator[list[Path]]:
    """Groups of that name below ours, in each hierarchy that systemd knows; gone at the end.

    Both layouts are known: the unified one, and the hybrid one with systemd's own hierarchy beside
    it (cgroups(7)). Whoever is to live in them is moved by the caller.
    """
    groups = [each / name for each in _ours()]
    for group in groups:
        group.mkdir()
    try:
        yield groups
    finally:
        for group in groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # a process that is ending, or gone already
                    os.rmdir(folder)


def _ours() -> list[Path]:
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            found.append(MOUNT / "systemd" / path.lstrip("/"))
        elif not controllers:
            hybrid = MOUNT / "unified"
            found.append((hybrid if hybrid.is_dir() else MOUNT) / path.lstrip("/"))
    return [each for each in found if each.is_dir()]
