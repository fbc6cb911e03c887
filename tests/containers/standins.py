"""The images that compose.yaml takes from a registry, without one: the base of hermesd's own, and
what stands in for PostgreSQL, RabbitMQ and Prometheus; all of the packages of this Debian."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from containers import composed
from containers.base import ROOTS, make_root
from containers.engine import Engine
from containers.image import PIP_CONF, download

FOLDER: Final = Path(__file__).with_name("standins")
NAMES: Final = ("postgres", "rabbitmq", "prometheus")
LEFT_OUT: Final = ("grafana",)  # Debian has none
BASE: Final = "localhost/base"
PARTS: Final = "localhost/parts"
TOOLS: Final = ("busybox", "findutils", "grep", "hostname", "mawk", "util-linux")


def make_images(engine: Engine, folder: Path) -> None:
    """BASE, and the others by the names that compose.yaml has for them."""
    services = composed.document()["services"]
    _make_base(engine, folder / "base")
    (folder / "parts").mkdir()
    make_root(folder / "parts", [*ROOTS, *TOOLS, _postgresql(), "rabbitmq-server", "prometheus"])
    engine.take(folder / "parts", PARTS)
    for name in NAMES:
        made = ("--target", name, "--build-arg", f"PARTS={PARTS}", "--tag", services[name]["image"])
        engine.docker("build", *made, "--file", str(FOLDER / "Containerfile"), str(FOLDER))


def _make_base(engine: Engine, root: Path) -> None:
    """What hermesd's image is built over; what pip is to install is in it."""
    root.mkdir()
    make_root(root)
    download(root / "wheelhouse")
    (root / "etc/pip.conf").write_text(PIP_CONF)
    engine.take(root, BASE)


def _postgresql() -> str:
    """The package of the newest server that is installed."""
    versions = sorted(int(path.name) for path in Path("/usr/lib/postgresql").glob("[0-9]*"))
    return f"postgresql-{versions[-1]}"
