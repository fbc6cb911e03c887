"""packaging/compose.yaml, read."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from containers.container import PACKAGING, Container

COMPOSE: Final = PACKAGING / "compose.yaml"
OURS: Final = ("api", "worker")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def document() -> dict[str, Any]:
    """The whole file."""
    read = yaml.safe_load(COMPOSE.read_text())
    assert isinstance(read, dict)
    return read


def container(name: str) -> Container:
    """One of OURS."""
    service = document()["services"][name]
    program, *check = service["healthcheck"]["test"][1:]
    assert program == "hermesd"
    return Container(
        name=name,
        args=service["command"],
        environ=service["environment"],
        grace_seconds=float(service["stop_grace_period"].removesuffix("s")),
        ports=frozenset(target for _, target in published(service)),
        secrets=frozenset(service["secrets"]),
        commands=(check,),
    )


def published(service: dict[str, Any]) -> list[tuple[str, int]]:
    """The address on this host, as it stands there, and the container's port, of each."""
    pairs = [each.rpartition(":") for each in service.get("ports", ())]
    return [(host, int(target)) for host, _, target in pairs]


def mounted(service: dict[str, Any]) -> list[tuple[str, str]]:
    """The files of this host that a service sees, as (path from the file, path in it)."""
    pairs = [each.split(":") for each in service.get("volumes", ())]
    return [(source, target) for source, target, *_ in pairs if source.startswith(".")]


def variables() -> set[tuple[str, str, str]]:
    """What is asked of .env: name, "?" or "-" or "", and what stands behind that."""
    text = "\n".join(line.partition(" #")[0] for line in COMPOSE.read_text().splitlines())
    return set(_VARIABLE.findall(text))
