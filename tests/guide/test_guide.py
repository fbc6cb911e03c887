"""The operator's guide names everything there is, and its commands are real."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from hermesd.cli import exits
from hermesd.config import Config
from hermesd.observe.described import Described, api_metrics, process_metrics, worker_metrics
from hermesd.observe.message_ids import MESSAGE_IDS

from .commands import assert_taken, commands_in
from .keys import all_keys, loaded
from .parts import GUIDE, PART, PARTS, ROOT, RULES, renewed

TEXT: Final = GUIDE.read_text(encoding="utf-8")
TOML = re.compile(r"^ *```toml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
KEY = re.compile(r"`([^`]+)` (?:=|like) `")
NAMED = re.compile(r'\.(?:NAME|"TYPE")\.')
FILE = re.compile(r"(?<![\w./-])((?:packaging|systemd|etc|plugins)/[\w./@*-]*\w)")
# Made by whoever follows the guide.
MADE_THERE: Final = {"packaging/.env", "packaging/kubernetes/secret.env"}


def test_the_generated_parts_are_of_this_version() -> None:
    """Else: make docs."""
    assert sorted(part[2] for part in PART.finditer(TEXT)) == sorted(PARTS)
    assert renewed(TEXT) == TEXT, "packaging/README.md is stale: make docs"


def test_every_alert_has_the_heading_that_its_runbook_names() -> None:
    """In this file, with its remedy."""
    anchors = set(_anchors())
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(alerts) > 20
    for alert in alerts:
        file, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert ROOT / file == GUIDE
        assert anchor in anchors, alert["alert"]


def _anchors() -> Iterator[str]:
    """As GitHub makes them of headings."""
    for heading in HEADING.findall(
        re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    ):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("metrics", [api_metrics, worker_metrics, process_metrics])
def test_every_metric_is_in_a_table(metrics: Callable[[], Sequence[Described]]) -> None:
    """By the name that it is scraped under."""
    assert [each.name for each in metrics() if f"| `{each.name}` |" not in TEXT] == []


def test_every_key_is_in_a_table() -> None:
    """Those of named tables under NAME or TYPE, and none that is gone."""
    keys = set(all_keys(Config))
    assert len(keys) > 100
    told = {NAMED.sub(".*.", key) for key in KEY.findall(TEXT)}
    assert keys - told == set()
    assert {key for key in told - keys if not key.startswith("plugins.settings.")} == set()


@pytest.mark.parametrize("line", commands_in(TEXT))
def test_a_command_is_one_that_there_is(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line takes it, with every option and argument."""
    monkeypatch.setenv("HERMES_BROKER_URL", "amqp://localhost")  # as `broker check` may have it
    assert_taken(line)


def test_there_are_commands_in_the_guide() -> None:
    """So that the check above has something to do."""
    assert len(commands_in(TEXT)) > 50


def test_what_is_no_command_would_be_found() -> None:
    """The parsers are asked indeed."""
    for line in ("workers drain --al", "quues list", "config check --instance", "scale worker x"):
        with pytest.raises(click.ClickException):
            assert_taken(f"hermesd {line}")


@pytest.mark.parametrize("text", TOML.findall(TEXT))
def test_a_configuration_in_it_is_right(text: str, tmp_path: Path) -> None:
    """With the secrets that it names."""
    assert loaded(text, tmp_path) != Config()


def test_every_file_that_is_named_is_there() -> None:
    """Linked ones from the guide's folder, others from the project's."""
    anchors, linked = set(_anchors()), LINK.findall(TEXT)
    for target in linked:
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        path = GUIDE.parent / file if file else GUIDE
        assert path.exists(), target
        if not file:
            assert anchor in anchors, target
    named = set(FILE.findall(re.sub(LINK, "]", TEXT))) - MADE_THERE
    assert len(named) > 5
    assert [name for name in sorted(named) if not any(ROOT.glob(name))] == []


def test_every_message_has_its_id_in_the_table() -> None:
    """As the catalog has it."""
    rows = [f"| `{event}` |" for event in MESSAGE_IDS]
    assert [row for row in rows if row not in TEXT] == []
    assert [each for each in MESSAGE_IDS.values() if f"| `{each}` |" not in TEXT] == []


def test_every_exit_code_is_explained() -> None:
    """Those of commands, which has those of the daemon among them."""
    table = TEXT[TEXT.index("### Exit codes") :]
    rows = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
    told = {int(code) for row in rows for code in row.split(",")}
    codes: dict[str, Any] = {n: v for n, v in vars(exits).items() if isinstance(v, int)}
    assert len(codes) > 10
    assert {name for name, code in codes.items() if code not in told} == set()


def test_every_variable_in_it_is_a_key() -> None:
    """HERMES_SECTION__KEY."""
    found = {name.lower() for name in re.findall(r"HERMES_([A-Z_]+__[A-Z_]+)", TEXT)}
    assert len(found) > 2
    assert {name.replace("__", ".") for name in found} <= set(all_keys(Config))
