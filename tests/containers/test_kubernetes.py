"""The manifests are in order: by Kubernetes' schemas, commands' options and the configuration."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hermesd
from containers import manifests
from containers.container import SECRETS, least_grace_seconds, parsed
from hermesd.api.order_views import QueueAnswer, QueueView
from hermesd.config import QueueKind

PATIENCE_SECONDS = 300.0
FOLDER = manifests.FOLDER
APPLIED = [path for path in sorted(FOLDER.glob("*.yaml")) if path.name != "kustomization.yaml"]
COMPONENTS = ("keda", "monitoring")


def labels_match(selector: dict[str, str], pod: dict[str, Any]) -> bool:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return selector.items() <= labels.items()


def test_the_schemas_of_kubernetes_take_them() -> None:
    """Strictly: no member that it does not know."""
    command = (sys.executable, "-m", "kubernetes_validate", "--strict")
    ended = subprocess.run(
        [*command, *APPLIED], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (ended.stdout + ended.stderr).count(" passed ") == 9


def test_kustomize_is_told_of_every_file() -> None:
    """And the image is of this version."""
    (whole,) = manifests.documents(FOLDER / "kustomization.yaml")
    assert sorted(whole["resources"]) == [path.name for path in APPLIED]
    (image,) = whole["images"]
    assert (image["name"], image["newTag"]) == ("hermesd", hermesd.__version__)
    for component in COMPONENTS:
        (part,) = manifests.documents(FOLDER / component / "kustomization.yaml")
        beside = {path.name for path in (FOLDER / component).glob("*.yaml")}
        assert beside - {"kustomization.yaml"} == set(part["resources"])
        for patch in part.get("patches", ()):
            manifests.one(patch["target"]["kind"], patch["target"]["name"])
    comment = f"# components: [{', '.join(COMPONENTS)}]"
    assert comment in (FOLDER / "kustomization.yaml").read_text()


@pytest.mark.parametrize("name", manifests.OURS)
def test_a_container_runs_commands_that_there_are(name: str) -> None:
    """Arguments and options, down to their values."""
    container = manifests.container(name)
    assert f"hermesd-{container.role}" == name
    for command in container.commands:
        parsed(command)


def test_a_worker_tells_of_its_end_without_waiting_for_it() -> None:
    """SIGTERM comes after it; it has to find the daemon still there."""
    (command,) = manifests.container("hermesd-worker").commands
    context = parsed(command)
    assert (context.command.name, context.params["no_wait"]) == ("drain", True)


@pytest.mark.parametrize(
    ("name", "broker"), list(itertools.product(manifests.OURS, (False, True))), ids=str
)
def test_the_environment_of_a_container_is_a_configuration(
    name: str, broker: bool, tmp_path: Path
) -> None:
    """With the secrets that it sees, its ports, and time to end in after preStop."""
    container = manifests.container(name, broker=broker)
    config = container.config(tmp_path)
    assert config.queue.kind is (QueueKind.AMQP if broker else QueueKind.EMBEDDED)
    assert container.grace_seconds >= least_grace_seconds(config) + 5
    listened = {
        "hermesd-api": {config.api.port, config.control.port},
        "hermesd-worker": {config.worker.port},
    }
    assert container.ports == listened[name]
    assert container.secrets >= {
        value.removeprefix(f"{SECRETS}/")
        for value in container.environ.values()
        if value.startswith(SECRETS)
    }


def test_a_worker_calls_every_api_and_is_called_by_its_pods_address(tmp_path: Path) -> None:
    """Of both families; a Service without an address of its own has those of all pods."""
    container = manifests.container("hermesd-worker")
    control = manifests.one("Service", "hermesd-control")["spec"]
    assert control["clusterIP"] == "None"
    assert control["publishNotReadyAddresses"] is True
    config = container.config(tmp_path)
    assert config.control.endpoints == (f"hermesd-control:{control['ports'][0]['port']}",)
    assert config.worker.advertise == manifests.POD_IP
    environ = {**container.environ, "HERMES_WORKER__ADVERTISE": "fd00:10:244::7"}
    six = type(container)(container.name, container.args, environ, container.grace_seconds)
    assert six.config(tmp_path).worker.advertise == "fd00:10:244::7"


def test_a_service_leads_to_a_port_of_pods_that_there_are() -> None:
    """By the names of ports, and the api's is where a worker's commands look for it."""
    for name in ("hermesd-api", "hermesd-control"):
        spec = manifests.one("Service", name)["spec"]
        assert labels_match(spec["selector"], manifests.pod_of("hermesd-api"))
        assert not labels_match(spec["selector"], manifests.pod_of("hermesd-worker"))
        (port,) = spec["ports"]
        assert named_ports("hermesd-api")[port["targetPort"]] == port["port"]
    (port,) = manifests.one("Service", "hermesd-api")["spec"]["ports"]
    url = manifests.container("hermesd-worker").environ["HERMES_URL"]
    assert url == f"http://hermesd-api:{port['port']}"


def named_ports(deployment: str) -> dict[str, int]:
    ports = manifests.container_of(deployment)["ports"]
    return {each["name"]: each["containerPort"] for each in ports}


@pytest.mark.parametrize("name", manifests.OURS)
def test_a_pod_has_no_rights_and_its_own_selector(name: str) -> None:
    """What a namespace with the restricted standard asks for, and a root that is read only."""
    pod, own = manifests.pod_of(name)["spec"], manifests.container_of(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    selectors = [
        manifests.one(kind, name)["spec"]["selector"]["matchLabels"]
        for kind in ("Deployment", "PodDisruptionBudget")
    ]
    for selector in selectors:
        matching = [
            each for each in manifests.OURS if labels_match(selector, manifests.pod_of(each))
        ]
        assert matching == [name]


def test_scalers_scale_what_there_is() -> None:
    """And a number that something else decides is not set by the deployment."""
    for kind, name in (
        ("HorizontalPodAutoscaler", "hermesd-api"),
        ("ScaledObject", "hermesd-worker"),
    ):
        assert manifests.one(kind, name)["spec"]["scaleTargetRef"]["name"] == name
    assert "replicas" not in manifests.one("Deployment", "hermesd-api")["spec"]


def test_keda_asks_for_figures_that_there_are() -> None:
    """A member of GET /queues/NAME that is always a number, and a metric."""
    waiting, oldest = manifests.one("ScaledObject", "hermesd-worker")["spec"]["triggers"]
    assert waiting["metadata"]["url"].endswith(".svc.cluster.local:8081/queues/default")
    outer, inner = waiting["metadata"]["valueLocation"].split(".")
    assert QueueAnswer.__annotations__[outer] == QueueView.__name__
    assert QueueView.__annotations__[inner] == "int"
    views = Path(hermesd.__file__).parent / "observe" / "views.py"
    metric = oldest["metadata"]["query"].partition("(")[2].partition("{")[0]
    assert f'"{metric}"' in views.read_text()


def test_prometheus_scrapes_the_ports_by_their_names() -> None:
    """Of apis and workers."""
    monitored = manifests.one("PodMonitor", "hermesd")["spec"]
    ports = [each["port"] for each in monitored["podMetricsEndpoints"]]
    assert ports == ["http", "dispatch"]
    assert "http" in named_ports("hermesd-api")
    assert "dispatch" in named_ports("hermesd-worker")
    for name in manifests.OURS:
        assert labels_match(monitored["selector"]["matchLabels"], manifests.pod_of(name))
