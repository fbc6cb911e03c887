"""A plugin that cannot be used is left out, and named (fault 24)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from processes.deployment import Deployment

HANDLER = """
from hermesd.handlers import hookimpl, job

@job("twice")
async def twice(payload: dict) -> None:
    pass

@hookimpl
def hermesd_handlers():
    return [twice]
"""


def install(folder: Path, name: str, source: str) -> None:
    """A distribution with one module, which is its plugin, as an installer would leave it."""
    (folder / f"{name}.py").write_text(source)
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[hermesd.plugins]\n{name} = {name}\n")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """One plugin that fails to import, and two that claim the same type."""
    folder = tmp_path / "installed"
    folder.mkdir()
    install(folder, "fails_to_import", "raise RuntimeError('no licence found')")
    install(folder, "claims_first", HANDLER)
    install(folder, "claims_second", HANDLER)
    return folder


async def test_the_daemon_runs_without_its_broken_plugins_and_names_them(
    deployment: Deployment, installed: Path
) -> None:
    """In its log and in `plugins list`, with the reason; other handlers work."""
    daemon = await deployment.both(PYTHONPATH=str(installed))
    told = " ".join(line["why"] for line in daemon.events("plugin quarantined"))
    await deployment.client.routable("both")
    answer = await deployment.client.submit("note")
    assert (await deployment.client.ended(answer["job"]["id"]))["state"] == "succeeded"
    refused = await deployment.client.http.post("/jobs", json={"type": "twice"})
    assert (refused.status_code, refused.json()["type"]) == (
        422,
        "urn:hermesd:problem:unknown-type",
    )
    listed = subprocess.run(
        [sys.executable, "-m", "hermesd.cli", "plugins", "list"],
        env=deployment.environ() | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for text in (told, listed.stdout + listed.stderr):
        for part in ("fails_to_import", "no licence found", "claims_first", "claims_second"):
            assert part in text


async def test_a_strict_daemon_does_not_start_with_a_broken_plugin(
    deployment: Deployment, installed: Path
) -> None:
    """Exit status 78, and the reason in the log."""
    strict = {"HERMES_PLUGINS__STRICT": "true", "PYTHONPATH": str(installed)}
    daemon = await deployment.start("strict", "both", **strict)
    assert await daemon.wait() == 78
    assert daemon.events("plugin quarantined")
