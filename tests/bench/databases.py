"""Databases for deployments: with `--postgresql`, a fresh one each on one private server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from tests.bench.peers.servers import postgresql


class Databases:
    """On the PostgreSQL server at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count(1)

    def settings(self) -> dict[str, str]:
        """What lets a deployment use a database that nobody else has."""
        name = f"bench_{next(self._numbers)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return {"HERMES_STORE__URL": f"{self._url.rpartition('/')[0]}/{name}"}


@contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    """A private server (see `servers.postgresql`); its files are in `folder`."""
    folder.mkdir()
    with postgresql(folder) as url:
        yield Databases(url)
