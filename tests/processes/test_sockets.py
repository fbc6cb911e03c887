"""An api on sockets that somebody else holds over its restarts, as systemd's socket units do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest
import trio
import trustme

from processes.client import until
from processes.daemon import PATIENCE_SECONDS
from processes.deployment import Deployment

CLIENTS = 4
ROUNDS = 15  # of each client, before and after the restart at least

Sockets = list[tuple[str, socket.socket]]


def listening(port: int = 0) -> socket.socket:
    """A socket as pid 1 would hold it."""
    return socket.create_server(("127.0.0.1", port), backlog=512)


@pytest.fixture
def sockets(deployment: Deployment) -> Iterator[Sockets]:
    """Where the clients of the deployment look for its api, and where its workers do."""
    with listening(deployment.client.port) as http, listening(deployment.control_port) as control:
        yield [("http", http), ("control", control)]


class Load:
    """Clients that submit over a new connection each time; no submit may fail."""

    def __init__(self, port: int) -> None:
        self.accepted: list[str] = []
        self.enough = trio.Event()
        self._url = f"http://127.0.0.1:{port}/jobs"
        self._goal = 0
        self._reached = trio.Event()

    async def more(self, count: int) -> None:
        """Return when so many more have been accepted."""
        self._goal, self._reached = len(self.accepted) + count, trio.Event()
        with trio.fail_after(PATIENCE_SECONDS):
            await self._reached.wait()

    async def run(self) -> None:
        """One client, until it is enough."""
        once = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=once, timeout=PATIENCE_SECONDS) as http:
            while not self.enough.is_set():
                answer = await http.post(self._url, json={"type": "note"})
                assert answer.status_code in (200, 202), answer.text
                self.accepted.append(answer.json()["job"]["id"])
                if len(self.accepted) >= self._goal:
                    self._reached.set()


async def test_no_connection_fails_while_an_api_restarts_under_load(
    deployment: Deployment, sockets: Sockets
) -> None:
    """They wait while nobody accepts, and are served by the next life; workers come back too."""
    other_ports = {"HERMES_API__PORT": "1", "HERMES_CONTROL__PORT": "2"}
    first = await deployment.start_on(sockets, "first", "api", **other_ports)
    await first.ready()
    told = {line["name"]: line for line in first.events("socket passed")}
    assert told["http"]["address"] == f"127.0.0.1:{deployment.client.port}"
    assert told["http"]["configured"] == "127.0.0.1:1"
    assert told["control"]["address"] == f"127.0.0.1:{deployment.control_port}"
    await deployment.worker("w1")
    await deployment.client.routable("w1")
    load = Load(deployment.client.port)
    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(load.run)
        await load.more(CLIENTS * ROUNDS)
        first.sigterm()
        assert await first.wait() == 0
        second = await deployment.start_on(sockets, "second", "api", **other_ports)
        await second.ready()
        await load.more(CLIENTS * ROUNDS)
        load.enough.set()
    await deployment.client.all_ended()
    jobs = deployment.history.check(load.accepted)
    assert {row.state for row in jobs.values()} == {"succeeded"}


async def test_a_passed_socket_serves_with_the_certificate_that_is_configured(
    deployment: Deployment, sockets: Sockets
) -> None:
    """And the daemon in both roles finds its own control port."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    place = deployment.folder / "chain.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(place))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = dict.fromkeys(("HERMES_API__TLS_CERT_FILE", "HERMES_API__TLS_KEY_FILE"), str(place))
    daemon = await deployment.start_on(sockets, "both", "both", **files)
    await daemon.ready()
    base = f"https://127.0.0.1:{deployment.client.port}"
    async with httpx.AsyncClient(base_url=base, verify=context, timeout=PATIENCE_SECONDS) as http:

        async def routable() -> bool:
            workers = (await http.get("/workers")).json()["workers"]
            return any(worker["status"] == "idle" for worker in workers)

        await until(routable, "the worker")
        job = (await http.post("/jobs", json={"type": "note"})).json()["job"]
        ended = (await http.get(f"/jobs/{job['id']}", params={"wait": 60})).json()["job"]
    assert ended["state"] == "succeeded"


@pytest.mark.parametrize(
    ("role", "names", "why"),
    [
        ("worker", ["http"], "a worker takes no socket"),
        ("api", ["web"], "no use for a socket 'web'"),
        ("api", ["control", "control"], "only one socket can be control"),
    ],
)
async def test_a_socket_of_no_use_stops_the_start(
    deployment: Deployment, role: str, names: list[str], why: str
) -> None:
    """As a fault of the configuration, which it is."""
    with listening() as one, listening() as two:
        passed = list(zip(names, (one, two), strict=False))
        daemon = await deployment.start_on(passed, "daemon", role)
        assert await daemon.wait() == 78
    assert why in (await daemon.logged("cannot go on"))["why"]
