"""Databases for deployments: with `--postgresql`, a fresh one each on one private server.

By its socket where that is asked for, as a deployment on one machine may do (measured, a statement
there and its answer back: 36 against 45 µs, both processes together 35 against 44 of processor
time).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

from tests.bench.peers.servers import postgresql


class Databases:
    """On the PostgreSQL server at `url`, reached by its socket in `folder` if there is one."""

    def __init__(self, url: str, folder: Path | None) -> None:
        self._url = url
        self._folder = folder
        self._numbers = count(1)

    def settings(self) -> dict[str, str]:
        """What lets a deployment use a database that nobody else has."""
        name = f"bench_{next(self._numbers)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return {"HERMES_STORE__URL": self._place(name)}

    def _place(self, name: str) -> str:
        if self._folder is None:
            return f"{self._url.rpartition('/')[0]}/{name}"
        server = urlsplit(self._url)
        where = f"host={quote(str(self._folder), safe='')}&port={server.port}"
        return f"postgresql://{server.username}@/{name}?{where}"


@contextmanager
def databases(folder: Path, *, by_socket: bool = False) -> Iterator[Databases]:
    """A private server (see `servers.postgresql`); its files are in `folder`."""
    folder.mkdir()
    with postgresql(folder) as url:
        yield Databases(url, folder if by_socket else None)
