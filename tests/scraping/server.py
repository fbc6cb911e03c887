"""A Prometheus server of a test's own, with the rules of packaging/ and a few targets."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any, Final

import httpx
import pytest
import trio
import yaml
from processes.client import until
from processes.ports import free_port

PACKAGED: Final = Path(__file__).parents[2] / "packaging" / "prometheus"


class Server:
    """Asked over its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def series(self, query: str) -> list[dict[str, Any]]:
        """The samples of an expression now; it must be one."""
        answer = await self._http.get("/api/v1/query", params={"query": query})
        told = answer.json()
        assert told["status"] == "success", (query, told)
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    async def values(self, label: str, match: str) -> list[str]:
        """The values of a label among the series that match."""
        answer = await self._http.get(f"/api/v1/label/{label}/values", params={"match[]": match})
        found: list[str] = answer.json()["data"]
        return found

    async def ready(self) -> bool:
        """Whether it answers queries yet."""
        return (await self._http.get("/-/ready")).status_code == 200

    async def rules(self) -> list[dict[str, Any]]:
        """Each with its `health`, as of its last evaluation."""
        answer = await self._http.get("/api/v1/rules")
        groups = answer.json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@asynccontextmanager
async def open_server(folder: Path, targets: Sequence[str]) -> AsyncIterator[Server]:
    """A server that scrapes these, host:port each, every second."""
    program = which("prometheus")
    if program is None:
        pytest.fail("Prometheus is not installed: apt-get install prometheus, or make test-faults")
    port = free_port()
    process = await trio.lowlevel.open_process(
        [
            program,
            f"--config.file={_configured(folder, targets)}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            server = Server(http)
            await _ready(server, len(targets))
            yield server
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def _configured(folder: Path, targets: Sequence[str]) -> Path:
    """The packaged configuration with other targets, and quicker."""
    config = yaml.safe_load((PACKAGED / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PACKAGED / name) for name in config["rule_files"]]
    statics = config["scrape_configs"][0]["static_configs"]
    for static, target in zip(statics, targets, strict=True):
        static["targets"] = [target]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


async def _ready(server: Server, targets: int) -> None:
    """Every target was scraped so often that rates have values, and the rules were evaluated."""

    async def scraped() -> bool:
        found = await server.series("count_over_time(up[1m]) >= 4 and up == 1")
        return len(found) == targets and all(
            rule["health"] == "ok" for rule in await server.rules()
        )

    await until(server.ready, "Prometheus to be ready")
    await until(scraped, "scrapes of every target")
