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
    catalogue = load_plugins(enabled=["resize-image"])
    assert catalogue.problems == ()
    handler = catalogue.handlers["resize-image"]
    assert handler.reference == "hermesd_resize_image.handler:resize_image"
    validator = jsonschema_rs.validator_for(handler.type.schema)
    assert validator.is_valid({"source_path": "/a", "width": 10})
    assert not validator.is_valid({"source_path": "/a", "width": 10} | {"unknown": 1})


def test_wrong_settings_quarantine_the_plugin() -> None:
    """At start already, with the key in the reason."""
    catalogue = load_plugins(
        enabled=["resize-image"], settings={"resize-image": {"max_pixels": "none"}}
    )
    (info,) = (plugin for plugin in catalogue.plugins if plugin.name == "resize-image")
    assert info.status is PluginStatus.QUARANTINED
    assert "max_pixels" in info.reason


def test_a_worker_without_such_jobs_does_not_hold_what_they_need() -> None:
    """Loading the plugin leaves PIL.Image to the first job."""
    program = (
        "import sys; from hermesd.handlers.loader import load_plugins; "
        "assert not load_plugins(enabled=['resize-image']).problems; "
        "sys.exit('PIL.Image' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_pil_quarantines_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """At start already, though it is imported with the first job only."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    catalogue = load_plugins(enabled=["resize-image"])
    (info,) = (plugin for plugin in catalogue.plugins if plugin.name == "resize-image")
    assert info.status is PluginStatus.QUARANTINED
    assert "PIL is not installed" in info.reason
