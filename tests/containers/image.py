"""The image of packaging/Containerfile, built and run by buildah: no registry, no engine."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from containers.base import make_root
from containers.container import PACKAGING, ROOT

BASE: Final = "localhost/base"
IMAGE: Final = "localhost/hermesd"
PATIENCE_SECONDS: Final = 900.0
PIP_CONF: Final = "[global]\nno-index = true\nfind-links = /wheelhouse\n"


class Buildah:
    """Keeps all that it makes in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        storage = ("--storage-driver", "vfs", "--root", f"{folder}/kept", "--runroot")
        self._command = ("buildah", *storage, f"{folder}/run")

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        return [*self._command, *arguments]

    def said(self, *arguments: str) -> str:
        """What it printed; it must end with 0."""
        return said(self.command(*arguments))

    def make_base(self) -> None:
        """BASE, of this machine's own packages."""
        root = self._folder / "base"
        root.mkdir()
        make_root(root)
        container = self.said("from", "scratch").strip()
        self.said("add", "--quiet", container, str(root), "/")
        self.said("commit", "--quiet", "--rm", container, BASE)

    def build(self) -> None:
        """IMAGE, as `docker build` does it; what is installed comes from a folder."""
        wheels, settings = self._folder / "wheels", self._folder / "pip.conf"
        download(wheels)
        settings.write_text(PIP_CONF)
        volumes = (f"{wheels}:/wheelhouse:ro", f"{settings}:/etc/pip.conf:ro")
        mounted = [word for volume in volumes for word in ("-v", volume)]
        how = ("--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={BASE}")
        file = ("-f", str(PACKAGING / "Containerfile"))
        self.said("bud", "--quiet", *how, *mounted, "-t", IMAGE, *file, str(ROOT))


def download(folder: Path) -> None:
    """What hermesd and its plugins need, for the Python of this system."""
    version = said(["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    wanted = sorted({"pip", "hatchling", *_requirements()})
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    only = ("--only-binary", ":all:", "--python-version", version.strip())
    said([*pip, *only, "--dest", str(folder), *wanted])


def _requirements() -> Iterator[str]:
    for file in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")):
        project: dict[str, Any] = tomllib.loads(file.read_text())["project"]
        named = [
            *project["dependencies"],
            *project.get("optional-dependencies", {}).get("otel", ()),
        ]
        yield from (each for each in named if not each.startswith("hermesd"))


def said(command: list[str]) -> str:
    """What a command printed; it must end with 0."""
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout
