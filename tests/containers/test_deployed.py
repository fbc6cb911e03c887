"""What compose.yaml puts together works: the same commands and settings, without the containers."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from brokers.rabbitmq import RabbitNode

from containers import composed, manifests
from containers.container import IMAGE_CONFIG, Container
from tests.demo.daemons import Daemon

PATIENCE_SECONDS = 300.0
PROGRAM = (sys.executable, "-m", "hermesd.cli")
PIXEL = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
PAYLOAD = {"source_base64": PIXEL, "width": 8, "height": 8, "mode": "exact"}

Environ = dict[str, str]


def environ_of(container: Container, folder: Path, **elsewhere: str) -> Environ:
    """Its environment; what has another address outside of a container is `elsewhere`."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("HERMES_")}
    for name in container.secrets:
        (folder / name).write_text("guest")
    return own | container.environ_in(folder) | {"HERMES_CONFIG": str(IMAGE_CONFIG)} | elsewhere


def run(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What a command of ours printed; it must end with 0."""
    ended = subprocess.run(
        [*PROGRAM, *command],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def probe(port: str, path: str) -> int:
    """The status that a kubelet would be answered."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE_SECONDS)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def port_of(address: str) -> str:
    return address.rpartition(":")[2]


@pytest.mark.faults
def test_an_api_and_two_workers_do_a_job_and_are_found_well(
    rabbitmq: RabbitNode, postgresql_url: str, tmp_path: Path
) -> None:
    """Over PostgreSQL and RabbitMQ; health checks and probes ask what there is."""
    broker = {
        "HERMES_QUEUE__URL": rabbitmq.url("guest"),
        "HERMES_QUEUE__NAMESPACE": f"composed-{uuid.uuid4().hex[:8]}",
    }
    free = dict.fromkeys(("HERMES_API__PORT", "HERMES_CONTROL__PORT", "HERMES_WORKER__PORT"), "0")
    api, worker = composed.container("api"), composed.container("worker")
    store = {"HERMES_STORE__URL": postgresql_url}
    api_environ = environ_of(api, tmp_path, **broker, **free, **store)
    with Daemon(api.role, PROGRAM, api_environ, tmp_path) as first:
        first.until_ready()
        control = f'["127.0.0.1:{port_of(first.places["control"])}"]'
        calls = {"HERMES_CONTROL__ENDPOINTS": control}
        worker_environ = environ_of(worker, tmp_path, **broker, **free, **calls)
        with (
            Daemon(worker.role, PROGRAM, worker_environ, tmp_path) as second,
            Daemon(worker.role, PROGRAM, worker_environ, tmp_path) as third,
        ):
            for each in (second, third):
                each.until_ready()
            port = port_of(first.places["api"])
            asking = api_environ | {"HERMES_URL": f"http://127.0.0.1:{port}"}
            submit = ("submit", "resize-image", json.dumps(PAYLOAD), "--wait", "--json")
            assert json.loads(run(submit, asking))["job"]["state"] == "succeeded"
            assert len(json.loads(run(("workers", "list", "--json"), asking))["workers"]) == 2
            judge(api, "hermesd-api", port, asking | {"HERMES_API__PORT": port})
            for each in (second, third):
                port = port_of(each.places["dispatch"])
                judge(
                    worker, "hermesd-worker", port, worker_environ | {"HERMES_WORKER__PORT": port}
                )
            for each in (second, third, first):
                each.stop()


def judge(container: Container, deployment: str, port: str, environ: Environ) -> None:
    """Ask one daemon as Docker and as a kubelet does."""
    for command in container.commands:
        run(command, environ)
    probes = manifests.probes_of(deployment)
    said = {kind: probe(port, path) for kind, path in probes.items()}
    assert said == dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), 200)
