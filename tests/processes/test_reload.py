"""SIGHUP: the configuration is read again, and the running daemon acts by it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme

from processes.client import ApiClient, Json, until
from processes.daemon import APP, PATIENCE_SECONDS, DaemonProcess
from processes.deployment import Deployment
from processes.reloaded import ConfigFile, reload, steady_submits

REFUSED = "configuration refused, the old one stays"
LONG = {"seconds": 0.0, "x" * 50: 0.0}


async def status_of(client: ApiClient, **body: Any) -> int:
    """What a submit of a note gets."""
    answer = await client.http.post("/jobs", json={"type": "note", **body})
    return answer.status_code


async def the_worker(client: ApiClient, name: str, holds: Callable[[Json], bool]) -> Json:
    """A worker as the api knows it, once this holds of it."""

    async def look() -> Json:
        found = [each for each in await client.workers() if each["worker_id"] == name]
        return next(filter(holds, found), {})

    return await until(look, f"worker {name} to be as wanted")


async def test_each_kind_of_key_is_changed_live_under_load(deployment: Deployment) -> None:
    """Limits, queues, slots, labels, schedules, levels: at once, and no submit fails of it."""
    client = deployment.client
    file = ConfigFile(deployment.folder / "hermes.toml", {"queues": {"idle": {}}})
    daemon = await deployment.both(**file.settings)
    await client.routable("both")
    async with steady_submits(client.port) as answers:
        assert await status_of(client, queue="mail") == 422
        await file.reload(daemon, "queues", mail={})
        kept = (await client.submit("note", queue="mail"))["job"]
        assert (await client.job(kept["id"]))["state"] == "queued"
        line = await file.reload(daemon, "worker", queues=["default", "mail"], labels={"zone": "a"})
        assert line["changed"] == ["worker.labels.zone", "worker.queues"]
        assert (await client.ended(kept["id"]))["state"] == "succeeded"
        worker = await the_worker(client, "both", lambda found: "mail" in found["queues"])
        assert (worker["queues"], worker["labels"]) == (["default", "mail"], {"zone": "a"})

        for _ in range(3):
            assert await status_of(client, queue="idle") == 202
        await file.reload(daemon, "queues", idle={"max_waiting": 3})
        assert await status_of(client, queue="idle") == 429
        await file.reload(daemon, "queues", idle={"max_waiting": 0})
        assert await status_of(client, queue="idle") == 202

        await file.reload(daemon, "api", max_scheduled_jobs=1)
        assert [await status_of(client, delay=60) for _ in range(2)] == [202, 429]
        await file.reload(daemon, "api", max_payload_bytes=50)
        assert await status_of(client, payload=LONG) == 413
        await file.reload(daemon, "jobs", max_timeout_seconds=20.0, timeout_seconds=19.0)
        assert await status_of(client, timeout=30.0) == 422
        job = (await client.submit("note"))["job"]
        assert (await client.job(job["id"]))["timeout"] == 19.0

        await file.reload(daemon, "worker", async_slots=7, thread_slots=5, process_slots=3)
        wanted = {"async": 7, "thread": 5, "process": 3}
        await the_worker(client, "both", lambda found: found["slots"] == wanted)

        await file.reload(daemon, "schedules", often={"type": "note", "cron": "@every 1s"})
        await daemon.logged("schedule fired", schedule="often")
        del file.tree["schedules"]["often"]
        file.write()
        await reload(daemon)
        await daemon.logged("schedule deleted", schedule="often")

        await file.reload(daemon, "log", jobs="all", fleet_seconds=0.1)
        await daemon.logged("fleet")
        await file.reload(daemon, "log", fleet_seconds=60.0)
        await daemon.logged("job ended", after=len(daemon.log))
        await file.reload(daemon, "log", jobs="none")
        line = await file.reload(daemon, "log", level="warning", jobs="all")
        ended = (await client.submit("note"))["job"]["id"]
        assert (await client.ended(ended))["state"] == "succeeded"
        louder = await file.reload(daemon, "log", level="info")
        await daemon.logged("job ended", after=daemon.log.index(louder))
        quiet = daemon.log[daemon.log.index(line) + 1 : daemon.log.index(louder)]
        assert {line["event"] for line in quiet} <= {"signal"}
        assert not daemon.events("job ended", job_id=ended)
        assert (await client.http.get("/metrics")).status_code == 200
        await file.reload(daemon, "metrics", enabled=False)
        assert (await client.http.get("/metrics")).status_code == 404
        before = answers.total
        await answers.reached(before + 20)
    assert (answers.refused, answers.unanswered) == ({}, 0)
    assert len(answers.accepted) >= 20
    daemon.sigterm()
    assert await daemon.wait() == 0


async def test_fewer_slots_end_no_job(deployment: Deployment) -> None:
    """Those that run go on; no new one begins until fewer run than there are slots."""
    client = deployment.client
    file = ConfigFile(deployment.folder / "hermes.toml", {"worker": {"async_slots": 3}})
    daemon = await deployment.both(**file.settings)
    await client.routable("both")
    ids = await client.submit_many("note", {"waits": 1}, 3)
    await client.running(3)
    await file.reload(daemon, "worker", async_slots=1)
    await the_worker(client, "both", lambda found: found["slots"]["async"] == 1)
    quick = await client.submit_many("note", {}, 20)
    assert (await client.stats())["jobs"]["running"] == 3
    deployment.let_go()
    for job_id in [*ids, *quick]:
        assert (await client.ended(job_id))["attempts"] == 1
    deployment.history.check([*ids, *quick])


async def test_child_processes_come_and_go_with_their_slots(deployment: Deployment) -> None:
    """At once where there are to be more, as jobs end where fewer."""
    client = deployment.client
    file = ConfigFile(deployment.folder / "hermes.toml", {"worker": {"process_slots": 1}})
    daemon = await deployment.both(**file.settings)
    await client.routable("both")
    await file.reload(daemon, "worker", process_slots=3)
    await the_worker(client, "both", lambda found: found["slots"]["process"] == 3)
    ids = await client.submit_many("note.process", {"waits": 1}, 3)
    await client.running(3)
    await file.reload(daemon, "worker", process_slots=1)
    deployment.let_go()
    for job_id in ids:
        assert (await client.ended(job_id))["state"] == "succeeded"

    async def one_child() -> bool:
        return len(children_of(daemon.pid)) == 1

    await until(one_child, "all children but one to leave")
    last = (await client.submit("note.process"))["job"]["id"]
    assert (await client.ended(last))["state"] == "succeeded"


def children_of(pid: int) -> list[int]:
    """The processes that it has started and that live (proc(5))."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


@pytest.mark.faults
async def test_threads_that_do_not_end_are_counted_anew(deployment: Deployment) -> None:
    """worker.max_lost_threads: one that was borne so far is too many."""
    client = deployment.client
    worker = {"timeout_grace_seconds": 0.1, "thread_slots": 4}
    file = ConfigFile(deployment.folder / "hermes.toml", {"worker": worker})
    await deployment.api()
    daemon = await deployment.worker("w1", **file.settings)
    await client.routable("w1")
    stuck = (await client.submit("stubborn", {"seconds": 30.0}, timeout=0.5))["job"]["id"]
    assert (await client.ended(stuck))["error"]["kind"] == "timeout"
    assert daemon.alive
    file.set("drain", seconds=0.0)
    await file.reload(daemon, "worker", max_lost_threads=0)
    await daemon.logged("too many threads do not end, recycling", lost=1, most=0)
    assert await daemon.wait() == 75


async def test_a_renewed_certificate_is_served_to_new_connections(deployment: Deployment) -> None:
    """From the same files or others; open connections go on, and useless files change nothing."""
    authority, folder = trustme.CA(), deployment.folder
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    def issue(name: str) -> bytes:
        issued = authority.issue_cert("127.0.0.1")
        (folder / f"{name}.pem").write_bytes(b"".join(p.bytes() for p in issued.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
        return issued.cert_chain_pems[0].bytes()

    async def served() -> bytes:
        stream = await trio.open_ssl_over_tcp_stream(
            "127.0.0.1", deployment.client.port, ssl_context=client_side, https_compatible=True
        )
        await stream.do_handshake()
        der = stream.getpeercert(binary_form=True)
        await trio.aclose_forcefully(stream)
        return ssl.DER_cert_to_PEM_cert(der).encode()

    first = issue("a")
    tls = {"tls_cert_file": "a.pem", "tls_key_file": "a.key"}
    file = ConfigFile(folder / "hermes.toml", {"api": tls})
    daemon = await deployment.api(**file.settings)
    base = f"https://127.0.0.1:{deployment.client.port}"
    async with httpx.AsyncClient(base_url=base, verify=client_side, timeout=60) as http:
        assert (await http.get("/health")).status_code == 200
        assert same(await served(), first)
        second = issue("a")
        await reload(daemon)
        await daemon.logged("certificate renewed")
        assert same(await served(), second)
        third = issue("b")
        line = await file.reload(daemon, "api", tls_cert_file="b.pem", tls_key_file="b.key")
        assert line["changed"] == ["api.tls_cert_file", "api.tls_key_file"]
        assert same(await served(), third)
        (folder / "b.key").write_bytes((folder / "a.key").read_bytes())
        refused = await reload(daemon, REFUSED)
        assert "api.tls_key_file" in refused["problems"][0]
        assert same(await served(), third)
        assert (await http.get("/health")).status_code == 200
    assert len(daemon.events("certificate renewed")) == 2


def same(served: bytes, issued: bytes) -> bool:
    """Whether two PEM texts are of one certificate."""
    return served.split() == issued.split()


async def test_a_useless_file_changes_nothing(deployment: Deployment) -> None:
    """What is wrong is told; the next good file is used."""
    file = ConfigFile(deployment.folder / "hermes.toml", {"api": {"max_payload_bytes": 99}})
    daemon = await deployment.api(**file.settings)
    file.set("api", max_payload_bytes=10, max_peyload=3)
    line = await reload(daemon, REFUSED)
    [problem] = line["problems"]
    assert problem.startswith(f"{file.path}: api.max_peyload: unknown key")
    assert await status_of(deployment.client, payload=LONG) == 202
    file.path.write_text("[api\n")
    line = await reload(daemon, REFUSED)
    assert "line 1, column 5: is not TOML" in line["problems"][0]
    del file.tree["api"]["max_peyload"]
    line = await file.reload(daemon, "api")
    assert line["changed"] == ["api.max_payload_bytes"]


async def test_systemd_is_told_of_every_reload(deployment: Deployment) -> None:
    """RELOADING until READY, and in the status what is wrong with a file, until it is not."""
    place, told = deployment.folder / "notify", list[str]()
    file = ConfigFile(deployment.folder / "hermes.toml", {"log": {}})
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        await listener.bind(str(place))

        async def hear(*wanted: str) -> str:
            with trio.fail_after(PATIENCE_SECONDS):
                while True:
                    told.append((await listener.recv(2000)).decode())
                    if told[-1].startswith(wanted):
                        return told[-1]

        daemon = await deployment.api(**file.settings, NOTIFY_SOCKET=str(place))
        await hear("READY=1")
        clocks = []
        for seconds, remark in ((0.0, True), (5.0, False)):
            file.set("log", fleet_seconds=seconds)
            daemon.sighup()
            reloading = await hear("RELOADING=1\nMONOTONIC_USEC=")
            clocks.append(int(reloading.rpartition("=")[2]) / 1_000_000)
            assert ("log.fleet_seconds" in await hear("STATUS=")) is remark
            await hear("READY=1")
    assert clocks == sorted(clocks)
    assert clocks[-1] == pytest.approx(time.monotonic(), abs=PATIENCE_SECONDS)


async def test_what_needs_a_restart_is_named_and_the_rest_is_done(deployment: Deployment) -> None:
    """At every reload, until the daemon has been started anew."""
    file = ConfigFile(deployment.folder / "hermes.toml")
    daemon = await deployment.api(**file.settings)
    file.set("liveness", heartbeat_seconds=1.0)
    file.set("api", max_payload_bytes=10)
    for changed in (["api.max_payload_bytes"], []):
        line = await reload(daemon)
        assert line["changed"] == changed
        named = await daemon.logged("restart needed", after=daemon.log.index(line))
        assert named["keys"] == ["liveness.heartbeat_seconds"]
        assert await status_of(deployment.client, payload=LONG) == 413


async def test_signals_in_a_row_end_with_the_last_file(deployment: Deployment) -> None:
    """However they fall together."""
    file = ConfigFile(deployment.folder / "hermes.toml")
    daemon = await deployment.api(**file.settings)
    for most in range(1, 12):
        file.set("queues", idle={"max_waiting": most})
        daemon.sighup()
        daemon.sighup()
    accepted = 0

    async def full() -> bool:
        nonlocal accepted
        while await status_of(deployment.client, queue="idle") == 202:
            accepted += 1
        return accepted >= 11

    await until(full, "the last limit to hold")
    assert accepted == 11


async def test_a_draining_daemon_does_not_reload(deployment: Deployment) -> None:
    """It ends by the configuration that it has, and says so; one with a changed drain by that."""
    client = deployment.client
    file = ConfigFile(deployment.folder / "hermes.toml", {"drain": {"seconds": 0.5}})
    daemon = await deployment.both(**file.settings)
    await client.routable("both")
    await file.reload(daemon, "drain", seconds=30.0)
    job = (await client.submit("note", {"waits": 1}))["job"]["id"]
    await client.running(1)
    daemon.sigterm()
    await daemon.logged("draining", seconds=30.0)
    file.set("drain", seconds=0.0)
    await reload(daemon, "reload ignored")
    deployment.let_go()
    assert await daemon.wait() == 0
    assert await daemon.logged("drained", finished=1, handed_on=0)
    assert deployment.history.check([job])[job].state == "succeeded"


async def test_a_worker_alone_and_an_api_alone_reload_too(deployment: Deployment) -> None:
    """The worker registers anew with the api it has, without a pause in which it is unknown."""
    client = deployment.client
    api_file = ConfigFile(deployment.folder / "api.toml")
    worker_file = ConfigFile(deployment.folder / "worker.toml")
    api = await deployment.api(**api_file.settings)
    worker = await deployment.worker("w1", **worker_file.settings)
    await client.routable("w1")
    incarnation = (await client.workers())[0]["incarnation"]
    async with steady_submits(client.port) as answers:
        await api_file.reload(api, "queues", mail={})
        worker_file.set("queues", mail={})
        await worker_file.reload(worker, "worker", queues=["mail", "default"], async_slots=9)
        found = await the_worker(client, "w1", lambda found: found["slots"]["async"] == 9)
        assert (found["incarnation"], found["queues"]) == (incarnation, ["default", "mail"])
        job = (await client.submit("note", queue="mail"))["job"]["id"]
        assert (await client.ended(job))["worker_id"] == "w1"
    assert (answers.refused, answers.unanswered) == ({}, 0)
    assert not api.events("worker unrouted")
    assert await client.metric("hermesd_invariant_breaches_total") == 0


async def test_a_worker_takes_up_with_an_api_that_is_added(deployment: Deployment) -> None:
    """And goes on to call the one that it had."""
    await deployment.api()
    nobody, here = "127.0.0.1:1", f"127.0.0.1:{deployment.control_port}"
    tree = {
        "control": {"endpoints": [nobody]},
        "worker": {"port": 0, "id": "w1"},
        "log": {"format": "json"},
    }
    file = ConfigFile(deployment.folder / "hermes.toml", tree)
    env = deployment.environ() | file.settings
    async with trio.open_nursery() as nursery:
        worker = await DaemonProcess.start(nursery, "w1", ["worker"], env)
        deployment.daemons.append(worker)
        await worker.logged("waiting for the api", endpoint=nobody)
        await file.reload(worker, "control", endpoints=[nobody, here])
        await worker.logged("registered", endpoint=here)
        await deployment.client.routable("w1")
        worker.sigterm()
        assert await worker.wait() == 0


async def test_schedules_wait_for_a_store_that_is_away(deployment: Deployment) -> None:
    """All else is taken over at once."""
    file = ConfigFile(deployment.folder / "hermes.toml")
    quick = {"HERMES_STORE__BUSY_TIMEOUT_SECONDS": "0.1"}
    daemon = await deployment.api(**file.settings, **quick)
    with closing(sqlite3.connect(deployment.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        file.set("schedules", often={"type": "note", "cron": "@every 1h"})
        await file.reload(daemon, "api", max_payload_bytes=10)
        await daemon.logged("cannot declare schedules")
        assert await status_of(deployment.client, payload=LONG) == 413
        other.execute("ROLLBACK")
    await daemon.logged("declaring schedules again")
    await daemon.logged("schedule stored", schedule="often", source="config")


async def test_a_configuration_of_a_program_is_not_reloaded(deployment: Deployment) -> None:
    """There is nothing to read; the signal that ends other programs does not end it."""
    daemon = await deployment.api()
    await reload(daemon, "nothing to reload")
    assert await status_of(deployment.client, queue="nowhere") == 422
    daemon.sigterm()
    assert await daemon.wait() == 0


async def test_a_daemon_whose_terminal_is_closed_drains(deployment: Deployment) -> None:
    """That is what the signal means there, also where there would be a file to read."""
    file = ConfigFile(deployment.folder / "hermes.toml")
    ours, theirs = os.openpty()
    env = deployment.environ() | file.settings | {"HERMES_STORE__URL": "sqlite:///hermes.db"}
    env |= {f"HERMES_{name}__PORT": "0" for name in ("API", "CONTROL", "WORKER")}
    process = await trio.lowlevel.open_process(
        [sys.executable, str(APP), "both"], env=env, stderr=theirs, cwd=deployment.folder
    )
    try:
        os.close(theirs)
        shown = b""
        with trio.fail_after(PATIENCE_SECONDS):
            while b"ready" not in shown:
                shown += await trio.to_thread.run_sync(os.read, ours, 1000)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        with trio.fail_after(PATIENCE_SECONDS):
            assert await process.wait() == 0
    finally:
        process.kill()
