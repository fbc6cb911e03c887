"""The operator's guide names everything there is, and its commands are real."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import pytest
import yaml

from hermesd.cli import exits
from hermesd.cli.main import cli
from hermesd.config import Config, load
from hermesd.config.keys import entry_type, field_types, struct_of
from hermesd.observe.described import Described, api_metrics, process_metrics, worker_metrics
from hermesd.observe.message_ids import MESSAGE_IDS

from .parts import GUIDE, PART, PARTS, ROOT, RULES, renewed

TEXT: Final = GUIDE.read_text(encoding="utf-8")
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^ *```toml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*(hermesd(?: .+)?)$")
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*hermesd [^`]+)`")
VARIABLES = re.compile(r"^(?:[A-Z_]+=\S+ )+")
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
    keys = set(_keys(Config))
    assert len(keys) > 100
    told = {NAMED.sub(".*.", key) for key in KEY.findall(TEXT)}
    assert keys - told == set()
    assert {key for key in told - keys if not key.startswith("plugins.settings.")} == set()


def _keys(struct: type[msgspec.Struct], before: str = "") -> Iterator[str]:
    """In full, with `*` for a name that is free; what is inside of a value is no key."""
    for name, kind in field_types(struct).items():
        entries = entry_type(kind)
        inner = struct_of(kind) or (entries is not None and struct_of(entries)) or None
        if inner is None:
            yield from () if before + name == "plugins.settings" else (before + name,)
        elif "*" in before:
            yield before + name
        else:
            yield from _keys(
                inner, f"{before}{name}.*." if entries is not None else f"{before}{name}."
            )


def commands() -> list[str]:
    """The lines of ours in examples, and those in the running text."""
    lines = [line.strip() for block in SHELL.findall(TEXT) for line in block.splitlines()]
    found = [match[1] for line in lines if (match := COMMAND.match(line))]
    found += [VARIABLES.sub("", text) for text in INLINE.findall(TEXT)]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one_that_there_is(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line takes it, with every option and argument."""
    monkeypatch.setenv("HERMES_BROKER_URL", "amqp://localhost")  # as `broker check` may have it
    words = shlex.split(line, comments=True)[1:]
    assert_parsed(cli, "hermesd", ["3" if word == "N" else word for word in words])


def assert_parsed(command: click.Command, name: str, arguments: list[str]) -> None:
    """Its own parser is content, and so are those of the commands in it."""
    with command.make_context(name, arguments) as context:
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            assert command.invoke_without_command, name
            return
        child_name, child, more = command.resolve_command(context, rest)
        assert child is not None
        assert child_name is not None
        assert_parsed(child, child_name, more)


def test_there_are_commands_in_the_guide() -> None:
    """So that the check above has something to do."""
    assert len(commands()) > 50


def test_what_is_no_command_would_be_found() -> None:
    """The parsers are asked indeed."""
    for line in ("workers drain --al", "quues list", "config check --instance", "scale worker x"):
        with pytest.raises(click.ClickException):
            assert_parsed(cli, "hermesd", line.split())


@pytest.mark.parametrize("text", TOML.findall(TEXT))
def test_a_configuration_in_it_is_right(text: str, tmp_path: Path) -> None:
    """With the secrets that it names."""
    file, credentials = tmp_path / "hermes.toml", tmp_path / "credentials"
    file.write_text(text, encoding="utf-8")
    credentials.mkdir()
    for name in re.findall(r'_file = "([^"/]+)"', text):
        (credentials / name).write_text("a secret\n", encoding="utf-8")
    config = load([file], {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert config != Config()


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
    assert {name.replace("__", ".") for name in found} <= set(_keys(Config))
