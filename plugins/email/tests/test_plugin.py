"""The distribution as the daemon finds it: through its entry point."""

from __future__ import annotations

import subprocess
import sys

import jsonschema_rs

from hermesd.handlers.catalogue import PluginStatus
from hermesd.handlers.loader import load_plugins


def test_the_entry_point_gives_the_job_type() -> None:
    """Loaded under its name, with a schema that is one."""
    catalogue = load_plugins(enabled=["email"])
    assert catalogue.problems == ()
    handler = catalogue.handlers["email"]
    assert handler.reference == "hermesd_email.handler:send_email"
    validator = jsonschema_rs.validator_for(handler.type.schema)
    assert validator.is_valid({"to": "a@b.org", "subject": "Hi", "body": "text"})
    assert not validator.is_valid(
        {"to": "a@b.org", "subject": "Hi", "body": "text"} | {"unknown": 1}
    )


def test_wrong_settings_quarantine_the_plugin() -> None:
    """At start already, with the key in the reason."""
    catalogue = load_plugins(enabled=["email"], settings={"email": {"security": "smtps"}})
    (info,) = (plugin for plugin in catalogue.plugins if plugin.name == "email")
    assert info.status is PluginStatus.QUARANTINED
    assert "security" in info.reason


def test_a_worker_without_such_jobs_does_not_hold_what_they_need() -> None:
    """Loading the plugin leaves smtplib to the first job."""
    program = (
        "import sys; from hermesd.handlers.loader import load_plugins; "
        "assert not load_plugins(enabled=['email']).problems; "
        "sys.exit('smtplib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
