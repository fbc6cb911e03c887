"""The distribution as the daemon finds it: through its entry point."""

from __future__ import annotations

import subprocess
import sys

import jsonschema_rs
import pytest

from hermesd.handlers.catalogue import PluginStatus
from hermesd.handlers.loader import load_plugins


def test_the_entry_point_gives_the_job_type() -> None:
    """Loaded under its name, with a schema that is one."""
    catalogue = load_plugins(enabled=["http"])
    assert catalogue.problems == ()
    handler = catalogue.handlers["http"]
    assert handler.reference == "hermesd_http.handler:call_webhook"
    validator = jsonschema_rs.validator_for(handler.type.schema)
    assert validator.is_valid({"url": "https://a.org"})
    assert not validator.is_valid({"url": "https://a.org"} | {"unknown": 1})


def test_wrong_settings_quarantine_the_plugin() -> None:
    """At start already, with the key in the reason."""
    catalogue = load_plugins(enabled=["http"], settings={"http": {"max_redirects": "many"}})
    (info,) = (plugin for plugin in catalogue.plugins if plugin.name == "http")
    assert info.status is PluginStatus.QUARANTINED
    assert "max_redirects" in info.reason


def test_a_worker_without_such_jobs_does_not_hold_what_they_need() -> None:
    """Loading the plugin leaves httpx to the first job."""
    program = (
        "import sys; from hermesd.handlers.loader import load_plugins; "
        "assert not load_plugins(enabled=['http']).problems; "
        "sys.exit('httpx' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_httpx_quarantines_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """At start already, though it is imported with the first job only."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    catalogue = load_plugins(enabled=["http"])
    (info,) = (plugin for plugin in catalogue.plugins if plugin.name == "http")
    assert info.status is PluginStatus.QUARANTINED
    assert "httpx is not installed" in info.reason
