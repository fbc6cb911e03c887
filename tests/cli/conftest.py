"""The command, run in this process or in its own, against the client tests' scripted api."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hermesd.cli.main import cli

PATIENCE_SECONDS = 150.0


def _clients_conftest() -> Any:
    """By its path: folders of tests are no packages, and one scripted api is enough."""
    path = Path(__file__).parents[1] / "client" / "conftest.py"
    spec = spec_from_file_location("hermesd_tests_client_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_CLIENTS = _clients_conftest()
api = _CLIENTS.api
job = _CLIENTS.job
unused_port = _CLIENTS.unused_port


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of whoever runs the tests, at a fixed width and zone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HERMES_")}
    (tmp_path / "hermes.toml").write_text(f'[store]\nurl = "sqlite:///{tmp_path}/hermes.db"\n')
    return {**kept, "HERMES_CONFIG": str(tmp_path / "hermes.toml"), "TZ": "UTC", "COLUMNS": "200"}


@pytest.fixture
def run(api: Any, environ: dict[str, str]) -> Callable[..., Result]:
    """Runs the command in this process; its output is no terminal."""

    def run(*args: str, stdin: str | bytes | None = None, **env: str) -> Result:
        given = {**environ, "HERMES_URL": api.url, **env}
        return CliRunner().invoke(cli, args, input=stdin, env=given, prog_name="hermesd")

    return run


@pytest.fixture
def command(api: Any, environ: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Starts the command as a process of its own."""

    def start(*args: str, **options: Any) -> subprocess.Popen[str]:
        env = {**environ, "HERMES_URL": api.url, **options.pop("env", {})}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
        argv = [sys.executable, "-m", "hermesd.cli", *args]
        return subprocess.Popen(argv, env=env, text=True, **pipes)

    return start


FREE_PORTS = {f"HERMES_{name}__PORT": "0" for name in ("API", "CONTROL", "WORKER")}


@pytest.fixture
def diagnose(run: Callable[..., Result]) -> Callable[..., tuple[int, dict[str, list[Any]]]]:
    """Runs `hermesd doctor`: its exit code, and its findings by the checks' names.

    Keys of the configuration are given as variables; by default the daemon takes any free ports.
    """

    def diagnose(*args: str, **env: str) -> tuple[int, dict[str, list[Any]]]:
        given = {"HERMES_URL": "", **FREE_PORTS, **env}
        answer = run("doctor", "--json", "--timeout", str(PATIENCE_SECONDS), *args, **given)
        assert answer.exception is None or isinstance(answer.exception, SystemExit)
        told = json.loads(answer.stdout)
        found: dict[str, list[Any]] = {}
        for finding in told["findings"]:
            found.setdefault(finding["check"], []).append(finding)
            assert bool(finding["remedy"]) == (finding["verdict"] in ("warn", "fail"))
        assert told["ok"] == (answer.exit_code == 0)
        return answer.exit_code, found

    return diagnose


@pytest.fixture
def serving(command: Callable[..., Any], tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a running daemon of both roles has logged when it serves."""
    (tmp_path / "serving.toml").write_text(
        f"""
        log.format = "json"
        store.url = "sqlite:///{tmp_path}/hermes.db"
        api.port = 0
        control.port = 0
        worker.port = 0
        """
    )
    process = command("-c", str(tmp_path / "serving.toml"), "serve", stdout=subprocess.DEVNULL)
    try:
        told: dict[str, Any] = {"event": ""}
        while told["event"] != "ready":
            line = process.stderr.readline()
            assert line, "the daemon has ended"
            told = json.loads(line)
        drained = threading.Thread(target=process.stderr.read)  # else it waits for its reader
        drained.start()
        yield {**told, "pid": process.pid}
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
    drained.join(PATIENCE_SECONDS)
    process.stderr.close()
