"""compose.yaml, brought up by Compose in an engine of the tests' own."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from containers import composed, standins
from containers.engine import PATIENCE_SECONDS, Engine

WORKERS: Final = 3
API: Final = "http://127.0.0.1:8081"
PROMETHEUS: Final = "http://127.0.0.1:9090"
POLL_SECONDS: Final = 0.5
GENEROUS: Final = {"timeout": "120s", "retries": 50}  # this machine may have much else to do
WAIT_SECONDS: Final = 60  # for one job's end, and then again


def compose_program() -> str | None:
    """Compose 2 or newer, as a command of its own, where there is one."""
    beside = os.fspath(Path(sys.executable).parent)
    return shutil.which("docker-compose", path=f"{beside}:{os.environ['PATH']}")


class Stack:
    """Every service but those of standins.LEFT_OUT, with all data in the engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        program = compose_program()
        assert program is not None
        secrets, changed = folder / ".env", folder / "changed.yaml"
        asked = sorted(name for name, how, _ in composed.variables() if how == "?")
        secrets.write_text("".join(f"{name}=a-secret-{i}\n" for i, name in enumerate(asked)))
        changes: dict[str, Any] = {name: {"profiles": ["absent"]} for name in standins.LEFT_OUT}
        for name, service in composed.document()["services"].items():
            if "healthcheck" in service:
                changes[name] = {"healthcheck": GENEROUS}
        changes["api"]["build"] = {"args": {"BASE": standins.BASE}}
        changed.write_text(yaml.safe_dump({"services": changes}))
        files = ("--file", str(composed.COMPOSE), "--file", str(changed))
        self._command = (program, "--progress", "plain", "--env-file", str(secrets), *files)

    def compose(self, *arguments: str, given: str = "") -> str:
        """What the command printed; it must end with 0."""
        return self.engine.run(*self._command, *arguments, given=given)

    def up(self, *how: str) -> None:
        """As the head of compose.yaml says it, and until all are well."""
        self.compose("up", "--detach", *how, "--wait", "--scale", f"worker={WORKERS}")

    def containers(self, *services: str) -> list[str]:
        """Their names, running or not."""
        rows = self.compose("ps", "--all", "--format", "json", *services).splitlines()
        return sorted(str(json.loads(row)["Name"]) for row in rows)

    def states(self, containers: Iterable[str]) -> list[dict[str, Any]]:
        """What the engine knows of how each is."""
        found = json.loads(self.engine.docker("container", "inspect", *containers))
        return [each["State"] for each in found]

    def kill(self, containers: Iterable[str]) -> None:
        """By SIGKILL to all at once, not by the engine: the end is nobody's order."""
        pids = [str(state["Pid"]) for state in self.states(containers)]
        self.engine.inside("kill", "-KILL", *pids)

    def ask(self, url: str, body: object = None) -> Any:
        """What a published port answers, read from JSON; with a body to a POST."""
        data = () if body is None else ("--data", json.dumps(body))
        kind = ("--header", "Content-Type: application/json")
        return json.loads(
            self.engine.inside(
                "curl", "--fail-with-body", "--silent", "--show-error", *kind, *data, url
            )
        )

    def ask_until(self, url: str, holds: Callable[[Any], bool]) -> None:
        """Ask what tells no events, until the answer is as wanted."""
        last = time.monotonic() + PATIENCE_SECONDS
        while not holds(answer := self.ask(url)):
            assert time.monotonic() < last, answer
            time.sleep(POLL_SECONDS)

    def ended(self, job_id: str) -> dict[str, Any]:
        """A job after its end."""
        while True:
            job: dict[str, Any] = self.ask(f"{API}/jobs/{job_id}?wait={WAIT_SECONDS}")["job"]
            if job["state"] in ("succeeded", "failed", "cancelled"):
                return job
