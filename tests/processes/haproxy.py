"""HAProxy before some ports of this machine: a TCP load balancer as others run it."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which

import pytest
import trio

from processes.client import until
from processes.ports import free_port

# https://docs.haproxy.org/2.6/configuration.html: TCP mode, with checks that only connect.
CONFIGURATION = """\
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 2s
    retries 3
    option redispatch
listen apis
    bind 127.0.0.1:{port}
    balance roundrobin
    default-server check inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


@asynccontextmanager
async def open_haproxy(folder: Path, targets: Sequence[int]) -> AsyncIterator[int]:
    """The port where it listens, once it does; connections go to each of `targets` in turn."""
    program = which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.fail("HAProxy is not installed: apt-get install haproxy, or make test-faults")
    port = free_port()
    servers = [f"    server api-{place} 127.0.0.1:{each}" for place, each in enumerate(targets, 1)]
    file = folder / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(port=port, servers="\n".join(servers)))
    process = await trio.lowlevel.open_process(
        [program, "-db", "-f", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    async def listens() -> bool:
        assert process.poll() is None, "HAProxy has ended"
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            return False
        await stream.aclose()
        return True

    try:
        await until(listens, "HAProxy to listen")
        yield port
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
