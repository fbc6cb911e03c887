"""compose.yaml under a real engine: up in order, jobs done, ends, deaths, and what is kept."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from containers.engine import Engine, until
from containers.stack import API, PROMETHEUS, WORKERS, Stack, compose_program
from containers.standins import make_images

PIXEL = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
SMALL = {"source_base64": PIXEL, "width": 8, "height": 8, "mode": "exact"}
LARGE = {"source_base64": PIXEL, "width": 2000, "height": 2000, "mode": "exact"}
AT_ONCE = 30
PROGRAMS = ("dockerd", "docker", "unshare", "nsenter", "ip", "curl", "busybox")
WHY_NOT = "needs root, Docker's engine and its Compose: make setup engine"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        os.geteuid() != 0 or None in map(shutil.which, PROGRAMS) or compose_program() is None,
        reason=WHY_NOT,
    ),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """With the images of a registry; they take much room, which is given back."""
    folder = tmp_path_factory.mktemp("engine")
    with Engine(folder) as engine:
        images = folder / "images"
        images.mkdir()
        make_images(engine, images)
        shutil.rmtree(images)
        yield engine


@pytest.fixture(scope="module")
def first(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, list[str]]:
    """The stack, and what happened as it was built and brought up by one command."""
    stack = Stack(engine, tmp_path_factory.mktemp("stack"))
    with engine.events() as events:
        stack.up("--build")
        last = {f"hermesd-worker-{n + 1} health_status: healthy" for n in range(WORKERS)}
        return stack, until(events, last)


@pytest.fixture
def stack(first: tuple[Stack, list[str]]) -> Stack:
    """Up, whatever the test before did."""
    first[0].up()
    return first[0]


def submit(stack: Stack, payload: dict[str, object]) -> str:
    """The id of a job sent to the published port."""
    job = stack.ask(f"{API}/jobs", {"type": "resize-image", "payload": payload})["job"]
    return str(job["id"])


def every_replica_is_read(answer: dict[str, Any]) -> bool:
    """Whether these targets of Prometheus are they."""
    read = Counter(
        target["labels"]["role"]
        for target in answer["data"]["activeTargets"]
        if target["health"] == "up"
    )
    return read == {"api": 1, "worker": WORKERS}


def test_one_command_brings_all_up_in_the_order_of_health(first: tuple[Stack, list[str]]) -> None:
    """No api before its servers are well, no worker before an api is."""
    at = {event: number for number, event in reversed(list(enumerate(first[1])))}
    well = {
        name: at[f"hermesd-{name}-1 health_status: healthy"] for name in ("postgres", "rabbitmq")
    }
    assert max(well.values()) < at["hermesd-api-1 start"]
    for number in range(1, WORKERS + 1):
        assert at["hermesd-api-1 health_status: healthy"] < at[f"hermesd-worker-{number} start"]


def test_a_job_sent_to_the_published_port_is_done(stack: Stack) -> None:
    """And every worker is there to do it."""
    assert stack.ended(submit(stack, SMALL))["state"] == "succeeded"
    assert len(stack.ask(f"{API}/workers")["workers"]) == WORKERS


def test_nothing_is_wrong_by_the_doctors_word(stack: Stack) -> None:
    """From within a container of each role, secrets and all."""
    for name in ("api", "worker"):
        stack.compose("exec", "-T", name, "hermesd", "doctor", "--role", name)


def test_prometheus_sees_every_replica_and_judges_its_rules(stack: Stack) -> None:
    """By the names that the engine's own server of names has for them."""
    stack.ask_until(f"{PROMETHEUS}/api/v1/targets", every_replica_is_read)
    groups = stack.ask(f"{PROMETHEUS}/api/v1/rules")["data"]["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(groups) > 0


def test_workers_that_are_stopped_drain_and_their_jobs_go_on_later(stack: Stack) -> None:
    """Each ends well by itself; no attempt is lost, and none is taken from a job."""
    line = json.dumps({"type": "resize-image", "payload": LARGE})
    sent = stack.compose(
        *("exec", "-T", "api", "hermesd", "submit", "--file", "-"), given=f"{line}\n" * AT_ONCE
    ).split()
    assert len(sent) == AT_ONCE
    stack.compose("stop", "worker")
    assert [state["ExitCode"] for state in stack.states(stack.containers("worker"))] == [
        0
    ] * WORKERS
    waiting = submit(stack, SMALL)
    stack.up()
    ended = [stack.ended(job_id) for job_id in [*sent, waiting]]
    assert {(job["state"], job["attempts"]) for job in ended} == {("succeeded", 1)}


def test_what_dies_is_started_again_whatever_the_order(stack: Stack) -> None:
    """All at once, servers and daemons; what was accepted is there, and jobs are done."""
    before = submit(stack, SMALL)
    names = stack.containers()
    with stack.engine.events() as events:
        stack.kill(names)
        until(events, {f"{name} start" for name in names})
    stack.up()
    for job_id in (before, submit(stack, SMALL)):
        assert stack.ended(job_id)["state"] == "succeeded"


def test_what_was_taken_down_comes_up_again_with_its_jobs(stack: Stack) -> None:
    """In new containers; what was waiting at the broker is done."""
    done = submit(stack, SMALL)
    result = stack.ended(done)["result"]
    stack.compose("stop", "worker")
    waiting = submit(stack, SMALL)
    old = stack.containers()
    stack.compose("down")
    assert stack.containers() == []
    stack.up()
    assert stack.containers() == old
    assert stack.ended(done)["result"] == result
    assert stack.ended(waiting)["state"] == "succeeded"
