"""A daemon's configuration file that is changed while the daemon runs, and load meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import tomli_w
import trio

from processes.daemon import DaemonProcess, Line
from processes.submitter import Answers, bodies, submit_all

BURST = 20


class ConfigFile:
    """A file of daemons; `tree` is what it holds."""

    def __init__(self, path: Path, tree: dict[str, Any] | None = None) -> None:
        self.path = path
        self.tree: dict[str, Any] = tree or {}
        self.write()

    @property
    def settings(self) -> dict[str, str]:
        """What a daemon is started with to read it."""
        return {"CONFIG_FILES": str(self.path)}

    def write(self) -> None:
        """As `tree` is now."""
        self.path.write_text(tomli_w.dumps(self.tree))

    def set(self, section: str, **values: Any) -> None:
        """Change keys of one section, in the file too."""
        self.tree.setdefault(section, {}).update(values)
        self.write()

    async def reload(self, daemon: DaemonProcess, section: str, **values: Any) -> Line:
        """Change keys of one section and have them taken over; the line that the daemon logged."""
        self.set(section, **values)
        return await reload(daemon)


async def reload(daemon: DaemonProcess, event: str = "configuration reloaded") -> Line:
    """Send SIGHUP; the line that tells what came of it."""
    seen = len(daemon.log)
    daemon.sighup()
    return await daemon.logged(event, after=seen)


@asynccontextmanager
async def steady_submits(port: int, *, connections: int = 2) -> AsyncIterator[Answers]:
    """Submits without a pause within the block; their answers."""
    answers, over = Answers(), False

    async def submit() -> None:
        while not over:
            burst = bodies("note", [{}] * BURST)
            await submit_all(port, burst, connections=connections, answers=answers)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        await answers.reached(1)
        yield answers
        over = True
