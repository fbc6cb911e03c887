"""What `[schedules.NAME]` takes, and what is said of what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermesd.config import Config, load
from hermesd.core.errors import ConfigError
from hermesd.core.schedule import Misfire, Overlap


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "hermes.toml"
    path.write_text(text)
    return load([path], {})


def test_a_schedule_is_read_whole(tmp_path: Path) -> None:
    """The payload becomes a JSON text."""
    config = read(
        tmp_path,
        """
        [schedules."nightly.clean"]
        cron = "@daily"
        type = "clean"
        timezone = "Europe/Berlin"
        payload = { depth = 2, paths = ["a", "ü"], since = 2026-01-01 }
        misfire = "catch-up"
        overlap = "skip"
        labels = { team = "ops" }
        """,
    )
    definition = config.schedules["nightly.clean"].definition
    assert (definition.cron, definition.timezone) == ("@daily", "Europe/Berlin")
    assert (definition.misfire, definition.overlap) == (Misfire.CATCH_UP, Overlap.SKIP)
    payload = '{"depth":2,"paths":["a","ü"],"since":"2026-01-01"}'
    assert bytes(definition.payload).decode() == payload


def test_without_a_payload_it_is_an_empty_object(tmp_path: Path) -> None:
    """As in a submit."""
    config = read(tmp_path, '[schedules.a]\ncron = "@daily"\ntype = "clean"\n')
    assert bytes(config.schedules["a"].definition.payload) == b"{}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('cron = "* * *"', "schedules.a.cron: '* * *' has 3 fields"),
        ('timezone = "Nowhere"', "schedules.a.timezone: 'Nowhere' is no time zone"),
        ('type = "x y"', "schedules.a.type: 'x y' is no job type"),
        ('queue = "none"', "schedules.a.queue: no queue 'none' is declared"),
        ("priority = 11", "schedules.a.priority: priority must be from 0 to 10"),
        ('misfire = "never"', "schedules.a.misfire: must be one of"),
        ("jitter_seconds = -1", "schedules.a: jitter_seconds must be from 0"),
        ("every = 5", "schedules.a.every: unknown key"),
        ('labels = { schedule = "b" }', "schedules.a: label 'schedule' is set by"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, line: str, told: str) -> None:
    """And the file."""
    lines = {"cron": 'cron = "@daily"', "type": 'type = "clean"'}
    lines[line.split()[0]] = line
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, "\n".join(["[schedules.a]", *lines.values()]))
    assert told in refused.value.detail


def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    """It would be a path and a label."""
    with pytest.raises(ConfigError, match="'a b' is no schedule's name"):
        read(tmp_path, '[schedules."a b"]\ncron = "@daily"\ntype = "clean"\n')
