"""What the machine grants the daemon: open files, and systemd's units."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, skipped, warn
from hermesd.cli.doctor.patient import Patient

FILES = "open files"
SYSTEMD = "systemd"
OWN_FILES: Final = 256  # besides connections: the store, logs, child processes' pipes, the broker
TEMPLATE: Final = "hermesd@.service"
BOOTED: Final = Path("/run/systemd/system")  # sd_booted(3)
_PROPERTIES: Final = "Id,LoadState,ActiveState,SubState,Result,NRestarts,LimitNOFILE"


def open_files(patient: Patient) -> Findings:
    """Whether all connections that the configuration allows can be open at once."""
    needed = patient.config.http.max_connections + OWN_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        seen = f"{soft} for processes started from here, where up to {needed} may be needed"
        remedy = (
            f"ulimit -n {max(65536, needed)} before `hermesd serve`, LimitNOFILE= in a unit, or a "
            "lower http.max_connections"
        )
        return [warn(FILES, seen, remedy)]
    limit = "no limit" if soft == resource.RLIM_INFINITY else str(soft)
    return [ok(FILES, f"{limit}; up to {needed} may be needed")]


def units(patient: Patient) -> Findings:
    """Whether the unit is installed, and how its instances are."""
    if not BOOTED.is_dir() or shutil.which("systemctl") is None:
        return [skipped(SYSTEMD, "systemd does not run this machine")]
    if TEMPLATE not in _systemctl(patient, "cat", TEMPLATE, check=False):
        seen = f"there is no unit {TEMPLATE}"
        return [warn(SYSTEMD, seen, "install it into /etc/systemd/system; systemctl daemon-reload")]
    pattern = patient.instance.name if patient.instance else "*"
    shown = _systemctl(patient, "show", f"--property={_PROPERTIES}", f"hermesd@{pattern}.service")
    found = [judged_unit(unit_properties(block)) for block in shown.split("\n\n") if block.strip()]
    if found:
        return found
    remedy = f"systemctl enable --now hermesd@{patient.role}"
    return [warn(SYSTEMD, f"{TEMPLATE} is installed, and no instance of it runs", remedy)]


def unit_properties(text: str) -> Mapping[str, str]:
    """NAME=VALUE lines, as `systemctl show` has them."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def judged_unit(unit: Mapping[str, str]) -> Finding:
    """How one instance is."""
    name, active = unit.get("Id", "?"), unit.get("ActiveState", "")
    state = f"{name} is {active} ({unit.get('SubState', '')})"
    if active == "failed" or unit.get("Result", "success") != "success":
        seen = f"{state}, its last result {unit.get('Result')}"
        return fail(SYSTEMD, seen, f"journalctl -u {name}; then: systemctl restart {name}")
    if active not in ("active", "reloading"):
        return warn(SYSTEMD, state, f"systemctl start {name}")
    if unit.get("NRestarts", "0") != "0":
        seen = f"{state}, restarted {unit['NRestarts']} times by itself"
        return warn(SYSTEMD, seen, f"journalctl -u {name}")
    return ok(SYSTEMD, f"{state}, open files {unit.get('LimitNOFILE', '?')}")


def _systemctl(patient: Patient, *arguments: str, check: bool = True) -> str:
    """What it prints; raises CalledProcessError where it fails and `check` is set."""
    done = subprocess.run(
        ["systemctl", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=patient.seconds,
        check=check,
    )
    return done.stdout
