"""The far side of jobs, in a machine's network: what arrives there, and when it is answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from systemd.lines import Lines
from systemd.machine import Machine
from systemd.served import HTTP_PORT

SERVED = Path(__file__).with_name("served.py")


class Peers:
    """The running servers."""

    url = f"http://127.0.0.1:{HTTP_PORT}"

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    @classmethod
    @contextmanager
    def running(cls, machine: Machine) -> Iterator[Self]:
        """Serve meanwhile."""
        with Lines.of(machine.beside(sys.executable, str(SERVED))) as lines:
            lines.wait(lambda line: "ready" in json.loads(line))
            yield cls(lines)

    def called(self, path: str) -> dict[str, Any]:
        """The first call to that path, when it has come."""
        line = self._lines.wait(lambda line: json.loads(line).get("call") == path)
        found: dict[str, Any] = json.loads(line)
        return found

    def mail(self) -> dict[str, Any]:
        """The first mail, when it has come."""
        line = self._lines.wait(lambda line: "mail" in json.loads(line))
        found: dict[str, Any] = json.loads(line)["mail"]
        return found

    def answer(self, name: str) -> None:
        """Answer the calls to /held/NAME."""
        self._lines.tell(name)
