"""Machines with a real systemd, and the package that is built for them once a run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from systemd.hermes import Hermes
from systemd.machine import CannotBoot, Machine, memory
from systemd.peers import Peers

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 600.0


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as `make deb` builds it, or the one that HERMESD_DEB names.

    Test processes that run beside each other share what is built.
    """
    if "HERMESD_DEB" in os.environ:
        return Path(os.environ["HERMESD_DEB"])
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with (folder / "package-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = list(folder.glob("hermesd_*.deb"))
        return built[0] if built else _built(folder)


def _built(folder: Path) -> Path:
    ended = subprocess.run(
        [str(ROOT / "packaging/build-deb"), str(folder)],
        env={**os.environ, "DEB_COMPRESSION": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Path(ended.stdout.strip())


@pytest.fixture(scope="session")
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """What the package's installation changes on a machine, as a layer for others."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(memory(tmp_path_factory.mktemp("installed") / "machine"))
            with Machine.booted([], folder) as machine:
                # Only now, since it takes long to build.
                machine.install(request.getfixturevalue("package"))
        except CannotBoot as error:
            why = f"NOT TESTED: no machine with a systemd can be booted here: {error}"
            warnings.warn(why, stacklevel=1)
            pytest.skip(why)
        yield folder / "changes"


@pytest.fixture
def machine(installed: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine of the test's own, with the package installed and nothing started."""
    with memory(tmp_path / "machine") as folder, Machine.booted([installed], folder) as machine:
        yield machine


@pytest.fixture
def hermes(machine: Machine) -> Hermes:
    """The daemons of that machine."""
    return Hermes(machine)


@pytest.fixture
def peers(machine: Machine) -> Iterator[Peers]:
    """An HTTP server and an SMTP server in its network."""
    with Peers.running(machine) as peers:
        yield peers
