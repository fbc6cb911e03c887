"""compose.yaml is in order: by Compose's schema, the commands' options and the configuration."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hermesd
from containers import composed
from containers.container import PACKAGING, least_grace_seconds, parsed
from hermesd.config import QueueKind

PATIENCE_SECONDS = 300.0
ENV_EXAMPLE = (PACKAGING / ".env.example").read_text()


@pytest.mark.parametrize("name", composed.OURS)
def test_a_service_is_started_and_asked_by_commands_that_there_are(name: str) -> None:
    """Arguments and options, down to their values."""
    container = composed.container(name)
    assert container.role == name
    for command in container.commands:
        assert parsed(command).params["role"] == name


@pytest.mark.parametrize("name", composed.OURS)
def test_the_environment_of_a_service_is_a_configuration(name: str, tmp_path: Path) -> None:
    """With the secrets that are mounted, and time to end in."""
    container = composed.container(name)
    config = container.config(tmp_path)
    assert config.queue.kind is QueueKind.AMQP
    assert ":p%40ss%2Fword@rabbitmq:5672" in config.queue.url
    assert container.grace_seconds >= least_grace_seconds(config)


def test_the_services_find_each_other(tmp_path: Path) -> None:
    """By name and port, as the other one listens; nothing of it is for this machine alone."""
    api = composed.container("api").config(tmp_path)
    worker = composed.container("worker").config(tmp_path)
    assert (api.api.host, api.control.host, worker.worker.host) == ("0.0.0.0",) * 3
    assert worker.control.endpoints == (f"api:{api.control.port}",)
    assert worker.queue == api.queue
    assert "@postgres:5432/hermesd" in api.store.url
    assert composed.container("api").ports == {api.api.port}
    assert composed.container("worker").ports == set()  # else only one could run


def test_a_service_that_is_waited_for_says_how_it_is() -> None:
    """A condition on one without a health check would never hold."""
    services = composed.document()["services"]
    waited = {
        (name, on, how["condition"])
        for name, service in services.items()
        for on, how in service.get("depends_on", {}).items()
    }
    assert {how for _, _, how in waited} == {"service_healthy"}
    assert {on for _, on, _ in waited} == {"postgres", "rabbitmq", "api", "prometheus"}
    assert [on for _, on, _ in waited if "healthcheck" not in services[on]] == []


def test_only_the_loopback_is_listened_on_unless_told_otherwise() -> None:
    """Nobody is asked who he is."""
    services = composed.document()["services"].values()
    places = [host for service in services for host, _ in composed.published(service)]
    assert len(places) == 4
    assert [place for place in places if not place.startswith("${LISTEN:-127.0.0.1}:")] == []


def test_what_is_asked_of_env_is_in_its_example() -> None:
    """No secret has a default; what has one is told with it."""
    for name, how, what in composed.variables():
        if how == "?":
            assert re.search(rf"^{name}=$", ENV_EXAMPLE, re.MULTILINE), name
        else:
            assert f"\n#{name}={what}\n" in ENV_EXAMPLE, name
    asked = {name for name, how, _ in composed.variables() if how == "?"}
    kept = composed.document()["secrets"]
    for name in composed.OURS:
        assert composed.container(name).secrets <= kept.keys()
    given = {each["environment"] for each in kept.values()}
    assert given <= asked == set(re.findall(r"^(\w+)=", ENV_EXAMPLE, re.MULTILINE))


def test_mounted_files_and_kept_volumes_are_there() -> None:
    """The image is of this version, and built by one service for all."""
    whole = composed.document()
    services = whole["services"].values()
    files = [source for service in services for source, _ in composed.mounted(service)]
    assert len(files) == 5
    assert [source for source in files if not (PACKAGING / source).is_file()] == []
    volumes = {v.split(":")[0] for s in services for v in s.get("volumes", ()) if v[0] != "."}
    assert volumes == set(whole["volumes"])
    assert whole["x-hermesd"]["image"] == f"hermesd:{hermesd.__version__}"
    (build,) = [service["build"] for service in services if "build" in service]
    assert (PACKAGING / build["context"] / build["dockerfile"]).is_file()


def test_the_schema_of_compose_takes_it() -> None:
    """That of its specification."""
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    ended = subprocess.run(
        [*command, composed.COMPOSE], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert ended.returncode == 0, ended.stdout


def test_prometheus_takes_its_files_and_finds_every_replica(tmp_path: Path) -> None:
    """By the names and ports of the services."""
    service = composed.document()["services"]["prometheus"]
    for source, target in composed.mounted(service):
        shutil.copy(PACKAGING / source, tmp_path / Path(target).name)
    promtool = shutil.which("promtool")
    assert promtool is not None, "make prometheus installs it"
    ended = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (scrape,) = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    found = {name: each["port"] for each in scrape["dns_sd_configs"] for name in each["names"]}
    api = composed.container("api").config(tmp_path)
    worker = composed.container("worker").config(tmp_path)
    assert found == {"api": api.api.port, "worker": worker.worker.port}


def test_grafana_has_its_source_and_its_dashboard() -> None:
    """The source is the Prometheus beside it, and the dashboard asks one of that kind."""
    service = composed.document()["services"]["grafana"]
    mounts = {Path(target): PACKAGING / source for source, target in composed.mounted(service)}
    provisioning = Path("/etc/grafana/provisioning")
    (source,) = yaml.safe_load(mounts[provisioning / "datasources/hermesd.yml"].read_text())[
        "datasources"
    ]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load(mounts[provisioning / "dashboards/hermesd.yml"].read_text())[
        "providers"
    ]
    (board,) = [mounts[p] for p in mounts if p.parent == Path(provider["options"]["path"])]
    variables = json.loads(board.read_text())["templating"]["list"]
    assert [v["query"] for v in variables if v["type"] == "datasource"] == ["prometheus"]
