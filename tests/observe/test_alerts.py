"""The alert rules: right by promtool, each with a test that it fires and one that it does not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from scraping.queries import assert_known, labels_of, named_in

from hermesd.cli.main import cli
from hermesd.observe.described import api_metrics, process_metrics, worker_metrics

FOLDER: Final = Path(__file__).parents[2] / "packaging" / "prometheus"
RULES: Final = FOLDER / "hermesd.rules.yml"
SEVERITIES: Final = {"critical", "warning", "info"}
TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
COMMAND = re.compile(r"`hermesd ([^`]+)`")


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """By name: of kind `alert` or `record`."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


ALERTS: Final = rules("alert")


def run(promtool: str, *arguments: str | Path) -> str:
    """What promtool says; it must find all well."""
    ended = subprocess.run(
        [promtool, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_promtool_takes_the_rules(promtool: str) -> None:
    """Their expressions and templates; and the configuration that names them."""
    said = run(promtool, "check", "rules", "--lint-fatal", RULES)
    assert f"{len(ALERTS) + len(rules('record'))} rules found" in said
    run(promtool, "check", "config", FOLDER / "prometheus.yml")


def test_the_alerts_do_as_their_tests_say(promtool: str) -> None:
    """One file an alert."""
    files = sorted((FOLDER / "tests").glob("*.yml"))
    said = run(promtool, "test", "rules", *files)
    assert said.count("SUCCESS") == len(files)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_both_ways(name: str) -> None:
    """Its file has a case in which it fires, and one in which it does not."""
    tests = yaml.safe_load((FOLDER / "tests" / f"{name}.yml").read_text(encoding="utf-8"))["tests"]
    asked = [case for test in tests for case in test["promql_expr_test"]]
    assert {case["expr"] for case in asked} == {
        f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    }
    assert {bool(case["exp_samples"]) for case in asked} == {True, False}


def test_no_test_is_left_of_an_alert_that_is_gone() -> None:
    """The files are those of the alerts."""
    assert {path.stem for path in (FOLDER / "tests").glob("*.yml")} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    """Summary, description, remedy, and where to read on; by commands that there are."""
    rule = ALERTS[name]
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "remedy", "runbook"}
    assert told["runbook"] == f"packaging/README.md#{name.lower()}"
    assert rule["labels"]["severity"] in SEVERITIES
    for command in COMMAND.findall(" ".join(told.values())):
        assert_is_command(command.split())


def assert_is_command(words: list[str]) -> None:
    """A command of ours, as far as it is written in small letters."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, words
        command = found
    assert not isinstance(command, click.Group), words
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, words


def test_rules_ask_for_metrics_and_labels_that_there_are() -> None:
    """Recorded ones among them."""
    recorded = rules("record")
    known = labels_of([*api_metrics(), *worker_metrics(), *process_metrics()]) | {"up": set()}
    for name, rule in recorded.items():
        known[name] = named_in(rule["expr"])[1]
    for rule in (*ALERTS.values(), *recorded.values()):
        usable = assert_known(rule["expr"], known)
        assert set(TEMPLATE_LABEL.findall(str(rule.get("annotations")))) <= usable, rule
