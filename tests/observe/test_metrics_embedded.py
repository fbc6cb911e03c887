"""A program that embeds the daemon has its metrics in a registry of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from processes.ports import free_port
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 150.0

# Two lives of a daemon in one program, each of which ends as soon as it has been scraped.
PROGRAM = """
import json, os, signal, sys, threading, time, urllib.request
from prometheus_client import CollectorRegistry, Gauge
from hermesd.config import load
from hermesd.daemon import Role, run
from hermesd.handlers import job

registry = CollectorRegistry()
Gauge("shop_orders", "Orders of the program around.", registry=registry).set(3)
texts = []

@job("greet")
async def greet(payload: dict) -> str:
    return "hello"

def scrape_and_stop(lives):
    while len(texts) < lives:
        try:
            with urllib.request.urlopen("http://127.0.0.1:%s/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            text = ""
        if "hermesd_worker_slots" in text:  # the worker begins after the api
            texts.append(text)
        else:
            time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)

statuses = []
for life in (1, 2):
    threading.Thread(target=scrape_and_stop, args=(life,), daemon=True).start()
    statuses.append(run(load([], os.environ), Role.BOTH, extra=[greet], registry=registry))
left = [metric.name for metric in registry.collect()]
print(json.dumps({"statuses": statuses, "texts": texts, "left": left}))
"""


def test_both_roles_are_in_the_programs_registry(tmp_path: Path) -> None:
    """Beside what it has there itself, life after life, and nothing of them is left in it."""
    port = free_port()
    environ = {name: text for name, text in os.environ.items() if not name.startswith("HERMES")}
    environ |= {
        "HERMES_API__PORT": str(port),
        "HERMES_CONTROL__PORT": "0",
        "HERMES_WORKER__PORT": "0",
        "HERMES_STORE__URL": f"sqlite:///{tmp_path}/hermes.db",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM % port],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["statuses"], told["left"]) == ([0, 0], ["shop_orders"])
    for text in told["texts"]:
        names = [family.name for family in text_string_to_metric_families(text)]
        assert len(set(names)) == len(names)
        assert {"shop_orders", "hermesd_jobs", "hermesd_worker_slots"} <= set(names)
        assert "process_resident_memory_bytes" not in names
