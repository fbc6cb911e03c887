"""packaging/kubernetes, read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from containers.container import PACKAGING, SECRETS, Container

FOLDER: Final = PACKAGING / "kubernetes"
POD_IP: Final = "10.1.2.3"
OURS: Final = ("hermesd-api", "hermesd-worker")


def documents(path: Path) -> list[dict[str, Any]]:
    """What a file holds."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def everything() -> list[dict[str, Any]]:
    """All objects, those of the components too."""
    files = sorted(FOLDER.rglob("*.yaml"))
    found = [each for path in files for each in documents(path)]
    return [each for each in found if not each["apiVersion"].startswith("kustomize.")]


def one(kind: str, name: str) -> dict[str, Any]:
    """The object of that name."""
    (found,) = [e for e in everything() if (e["kind"], e["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(name: str) -> dict[str, Any]:
    """The template of a Deployment's pods."""
    template = one("Deployment", name)["spec"]["template"]
    assert isinstance(template, dict)
    return template


def container_of(name: str) -> dict[str, Any]:
    """The only container of a Deployment's pods, as it stands there."""
    (found,) = pod_of(name)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def container(name: str, *, broker: bool = False) -> Container:
    """One of OURS; with `broker` the settings that stand in the ConfigMap as comments hold too."""
    spec, own = pod_of(name)["spec"], container_of(name)
    stop = own["lifecycle"]["preStop"]["exec"]["command"]
    return Container(
        name=name,
        args=own["args"],
        environ=_shared(broker) | {each["name"]: _value(each) for each in own["env"]},
        grace_seconds=float(spec["terminationGracePeriodSeconds"]),
        ports=frozenset(each["containerPort"] for each in own["ports"]),
        secrets=frozenset(_secrets(spec, own)),
        commands=(stop[1:],) if stop[0] == "hermesd" else (),
    )


def secret_keys() -> set[str]:
    """What an operator is asked for."""
    text = (FOLDER / "secret.env.example").read_text()
    return set(re.findall(r"^([\w-]+)=", text, re.MULTILINE))


def _shared(broker: bool) -> dict[str, str]:
    text = (FOLDER / "configmap.yaml").read_text()
    if broker:
        text = re.sub(r"^  # (HERMES_)", r"  \1", text, flags=re.MULTILINE)
    data = yaml.safe_load(text)["data"]
    assert isinstance(data, dict)
    return data


def _value(variable: dict[str, Any]) -> str:
    if "value" in variable:
        return str(variable["value"])
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    return POD_IP


def _secrets(spec: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """The mounted keys of the one Secret, from SECRETS on."""
    volumes = {each["name"]: each for each in spec["volumes"]}
    found = []
    for mount in own["volumeMounts"]:
        if (secret := volumes[mount["name"]].get("secret")) is None:
            continue
        items = secret.get("items", [{"key": key, "path": key} for key in secret_keys()])
        assert {each["key"] for each in items} <= secret_keys()
        folder = mount["mountPath"].removeprefix(SECRETS + "/")
        found += [f"{folder}/{each['path']}" for each in items]
    return found


def probes_of(name: str) -> dict[str, str]:
    """The paths that a kubelet asks for, by the probe; all at the container's first port."""
    own = container_of(name)
    found = {kind: own[kind]["httpGet"] for kind in own if kind.endswith("Probe")}
    assert {each["port"] for each in found.values()} == {own["ports"][0]["name"]}
    return {kind: each["path"] for kind, each in found.items()}
