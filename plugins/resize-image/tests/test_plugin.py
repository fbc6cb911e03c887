"""The distribution as the daemon finds it: through its entry point."""

from __future__ import annotations

import jsonschema_rs

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
