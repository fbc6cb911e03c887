"""The daemons of a machine, as an operator deals with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from systemd.lines import Lines
from systemd.machine import Machine

CONFIG = "/etc/hermes.toml"


class Hermes:
    """What an operator would type; instances are named as behind the @."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def configure(self, text: str, instance: str = "") -> None:
        """Put this into /etc/hermes.toml, or into the instance's own file."""
        self.machine.write(f"/etc/hermes.d/{instance}.toml" if instance else CONFIG, text)

    def drop_in(self, text: str, template: str = "hermesd@.service") -> None:
        """Change the unit, as `systemctl edit` does."""
        self.machine.write(f"/etc/systemd/system/{template}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def systemctl(self, *words: str, status: int | None = 0) -> str:
        """What it says on both streams."""
        ended = self.machine.run("systemctl", *words, status=status)
        return ended.stdout + ended.stderr

    def start(self, *instances: str) -> None:
        """Start them, and return when all are ready."""
        self.systemctl("start", *(f"hermesd@{each}" for each in instances))

    def show(self, instance: str) -> Mapping[str, str]:
        """The unit's properties."""
        said = self.machine.said("systemctl", "show", f"hermesd@{instance}")
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def pid(self, instance: str) -> str:
        """The main process, as the machine numbers it; 0 for none."""
        return self.show(instance)["MainPID"]

    def cli(self, *words: str) -> Any:
        """What `hermesd --json WORDS` answers."""
        return json.loads(self.machine.said("hermesd", "--json", *words))

    def submit(self, kind: str, payload: object) -> str:
        """The id of a new job."""
        submitted = self.cli("submit", kind, json.dumps(payload))
        return str(submitted["job"]["id"])

    def run(self, kind: str, payload: object) -> Any:
        """A job that is to succeed: the job as it ended."""
        return self.cli("submit", kind, json.dumps(payload), "--wait")["job"]

    def job(self, job_id: str) -> Any:
        """The job as it is."""
        return self.cli("jobs", "show", job_id)["job"]

    def log(self, *matches: str) -> list[dict[str, Any]]:
        """The journal's entries that match, oldest first."""
        said = self.machine.said("journalctl", "--quiet", "--output=json", *matches)
        return [json.loads(line) for line in said.splitlines()]

    def follow(self, *matches: str) -> Any:
        """The journal's entries, from the first one on, as Lines of JSON."""
        words = ("journalctl", "--quiet", "--output=json", "--lines=all", "--follow", *matches)
        return Lines.of(self.machine.argv(*words))
