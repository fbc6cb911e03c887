"""`hermesd health`: an exit code for what watches over a daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def places(api: Any, unused_port: int) -> dict[str, dict[str, str]]:
    """Where a role is looked for: the scripted one, or nowhere."""
    there, nowhere = api.url.rsplit(":", 1)[1], str(unused_port)
    return {
        "api": {"HERMES_API__PORT": there, "HERMES_WORKER__PORT": nowhere},
        "worker": {"HERMES_API__PORT": nowhere, "HERMES_WORKER__PORT": there},
        "none": {"HERMES_API__PORT": nowhere, "HERMES_WORKER__PORT": nowhere},
    }


@pytest.mark.parametrize("role", ["api", "worker"])
def test_whichever_role_runs_here_is_asked(run: Any, api: Any, places: Any, role: str) -> None:
    """At the loopback, where it listens on all addresses."""
    api.json({"status": "ok"})
    everywhere = {"HERMES_API__HOST": "0.0.0.0", "HERMES_WORKER__HOST": "0.0.0.0"}
    result = run("health", **places[role], **everywhere)
    assert (result.exit_code, result.stdout) == (0, f"{role}: ok\n")
    assert [each.path for each in api.requests] == ["/health"]


def test_a_role_that_is_named_is_the_only_one_asked(run: Any, api: Any, places: Any) -> None:
    """Though another one would answer."""
    result = run("health", "--role", "worker", **places["api"])
    assert result.exit_code == 69
    assert api.requests == []


def test_readiness_has_a_code_of_its_own(run: Any, api: Any, places: Any) -> None:
    """It lives, and is not to be restarted for that."""
    api.json({"ready": False}, 503)
    api.json({"ready": True})
    assert run("health", "--ready", **places["api"]).exit_code == 75
    result = run("health", "--ready", "--json", **places["api"])
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (0, 200)
    assert [each.path for each in api.requests] == ["/ready", "/ready"]


def test_nobody_there_and_somebody_else_there(run: Any, api: Any, places: Any) -> None:
    """Both are told with where it was asked."""
    result = run("health", **places["none"])
    assert (result.exit_code, result.stderr.count("/health: Connection refused")) == (69, 2)
    api.text(404, b"no such page")
    result = run("health", **places["api"])
    assert result.exit_code == 76
    assert "answers with 404" in result.stderr
