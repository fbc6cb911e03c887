"""The image is built, has nothing that it should not have, and a job runs in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes.ports import free_port

import hermesd
from containers.image import IMAGE, Buildah
from tests.demo.daemons import Daemon

PIXEL = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
PAYLOAD = {"source_base64": PIXEL, "width": 8, "height": 8, "mode": "exact"}
WHY_NOT = "needs buildah, and root for chroot: make buildah"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("buildah") is None or os.geteuid() != 0, reason=WHY_NOT),
]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """With the image built; it takes much room, which is given back."""
    folder = tmp_path_factory.mktemp("buildah")
    built = Buildah(folder)
    built.make_base()
    built.build()
    yield built
    built.said("rm", "--all")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def container(buildah: Buildah) -> str:
    """A container of the image, with ports that are free on this machine, whose network it has."""
    made = buildah.said("from", "--pull-never", IMAGE).strip()
    names = ("HERMES_API__PORT", "HERMES_CONTROL__PORT", "HERMES_WORKER__PORT")
    environ = {name: str(free_port()) for name in names}
    environ["HERMES_CONTROL__ENDPOINTS"] = f'["127.0.0.1:{environ["HERMES_CONTROL__PORT"]}"]'
    environ["HERMES_WORKER__ADVERTISE"] = "127.0.0.1"  # its name is known to nobody here
    given = [word for name, text in environ.items() for word in ("--env", f"{name}={text}")]
    buildah.said("config", *given, made)
    return made


def inside(container: str) -> tuple[str, ...]:
    return ("run", "--isolation", "chroot", container, "--")


def test_the_image_says_how_it_is_to_be_run(buildah: Buildah) -> None:
    """To Docker and its like."""
    kept = json.loads(buildah.said("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    assert kept["User"] == "10001:10001"
    assert (kept["Entrypoint"], kept["Cmd"]) == (["hermesd"], ["serve"])
    assert kept["Healthcheck"]["Test"] == ["CMD", "hermesd", "health"]
    assert set(kept["ExposedPorts"]) == {"8081/tcp", "50051/tcp", "9001/tcp"}
    assert set(kept["Volumes"]) == {"/var/lib/hermesd"}
    assert kept["StopSignal"] == "SIGTERM"
    assert kept["Labels"]["org.opencontainers.image.version"] == hermesd.__version__


def test_the_image_has_hermesd_its_plugins_and_nothing_to_build_with(
    buildah: Buildah, container: str
) -> None:
    """What runs in it is nobody in particular, and cannot change the program."""
    run = inside(container)
    assert buildah.said(*run, "hermesd", "version").startswith(f"hermesd {hermesd.__version__} ")
    found: dict[str, Any] = json.loads(buildah.said(*run, "hermesd", "plugins", "list", "--json"))
    assert {each["name"] for each in found["plugins"]} == {"email", "http", "resize-image"}
    assert found["problems"] == []
    buildah.said(*run, "python3", "-c", "import json; open(json.__cached__).close()")
    look = 'id -u; test -w /opt/hermesd || echo kept; cat "$0" >/dev/null; ls / /opt/hermesd/bin'
    user, kept, *files = buildah.said(*run, "sh", "-c", look, "/etc/hermes.toml").splitlines()
    assert (user, kept) == ("10001", "kept")
    assert {"src", "build", "wheels", "pip", "cc"} & set(files) == set()


def test_a_job_runs_in_it(buildah: Buildah, container: str, tmp_path: Path) -> None:
    """The daemon is found well, keeps the job where the volume is, and ends when told to."""
    command = buildah.command(*inside(container), "hermesd")
    run = inside(container)
    with Daemon("both", command, dict(os.environ), tmp_path) as daemon:
        daemon.until_ready()
        buildah.said(*run, "hermesd", "health", "--ready")
        buildah.said(*run, "hermesd", "health", "--role", "worker", "--ready")
        submit = ("hermesd", "submit", "resize-image", json.dumps(PAYLOAD), "--wait", "--json")
        assert json.loads(buildah.said(*run, *submit))["job"]["state"] == "succeeded"
        assert "hermes.db" in buildah.said(*run, "ls", "/var/lib/hermesd")
        buildah.said(*run, "hermesd", "drain")
        # Buildah passes no signal on; what runs by chroot is among this machine's processes.
        pid = int(daemon.places["pid"])
        assert b"hermesd" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGTERM)
        daemon.until_ended()
