"""Who has a port: a running hermesd says so itself, of other processes /proc knows the name."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

PROC: Final = Path("/proc")
MAX_BODY_BYTES: Final = 64 * 1024
_LISTENS: Final = "0A"  # TCP_LISTEN, as proc_net_tcp has it


class Answered(NamedTuple):
    """An answer to GET /health: its Date, and its members where it is hermesd's."""

    date: str
    health: dict[str, Any]

    @property
    def told(self) -> str:
        """Who it is, for people; empty where it is no hermesd."""
        health = self.health
        if health.get("name") != "hermesd":
            return ""
        own = health.get("api") or health.get("worker_id") or ""
        return f"hermesd {health.get('version')}, role {health.get('role')} {own}".rstrip()


def asked(url: str, seconds: float) -> Answered | None:
    """What answers at `url`, None where nothing does; its certificate is not looked at."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # nothing is sent but the question who it is
        connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", parts.path.rstrip("/") + "/health")
        answer = connection.getresponse()
        return Answered(answer.headers.get("date", ""), _members(answer.read(MAX_BODY_BYTES)))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _members(body: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(body)
        if isinstance(found, dict):
            return found
    return {}


class Holder(NamedTuple):
    """A process that listens."""

    pid: int
    name: str

    @property
    def told(self) -> str:
        """For people."""
        return f"process {self.pid} ({self.name})"


def holder_of(port: int) -> Holder | None:
    """Who listens on a TCP port of this machine; None where that is not to be seen."""
    inodes = set(_listening(port))
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in PROC.iterdir():
        if process.name.isdigit() and _has_open(process, wanted):
            with suppress(OSError):
                name = (process / "comm").read_text().strip()
                return Holder(int(process.name), name)
    return None


def _listening(port: int) -> Iterator[str]:
    """The inodes of sockets that listen there (Documentation/networking/proc_net_tcp)."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                own = columns[1].rpartition(":")[2]
                if columns[3] == _LISTENS and int(own, 16) == port:
                    yield columns[9]


def _has_open(process: Path, wanted: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in wanted:
                    return True
    return False
