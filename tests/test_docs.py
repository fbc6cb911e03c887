"""The README names everything there is, and what it says of the code is so."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec
import pytest
from guide.commands import assert_taken, commands_in
from guide.keys import all_keys, loaded

from hermesd.cli.main import cli
from hermesd.config import Config
from hermesd.core.states import MOVES
from hermesd.handlers import hookspecs
from hermesd.handlers.catalogue import PluginStatus
from hermesd.handlers.loader import load_plugins
from hermesd.observe.described import Described, api_metrics, process_metrics, worker_metrics

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOVE_ROW = re.compile(r"^\| (\w+) \| (\w+) \| (\w+) \| .*\|$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = re.compile(r"`([a-z_]+(?:\.[a-z_]+)+)(?: = [^`]*)?`")
METRIC = re.compile(r"`(hermesd_[a-z_]+)`")
LINK = re.compile(r"\]\(([^)]+)\)")


def test_the_table_of_moves_is_the_state_machine() -> None:
    """Row by row, in the code's order, neither more nor less."""
    table = README[README.index("| from | move | to |") :]
    rows = [row.groups() for row in MOVE_ROW.finditer(table[: table.index("\n\n")])]
    moves = [(str(source), str(move), str(target)) for (source, move), target in MOVES.items()]
    assert rows[1:] == moves  # the first row is the heading


def test_the_diagram_of_states_is_the_one_in_the_code() -> None:
    """Line by line."""
    from hermesd.core import states

    drawn = [line for line in (states.__doc__ or "").splitlines() if "─" in line]
    assert len(drawn) > 3
    assert [line for line in drawn if line.strip() not in README] == []


def test_every_section_of_the_configuration_is_named() -> None:
    """In the table of sections."""
    sections = [field.name for field in msgspec.structs.fields(Config)]
    assert [name for name in sections if f"| `[{name}]` |" not in README] == []


def test_every_command_is_named() -> None:
    """Those in groups by their full names."""
    assert [path for path in sorted(commands(cli, "hermesd")) if f"`{path}" not in README] == []


def commands(command: click.Command, path: str) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


@pytest.mark.parametrize("line", commands_in(README, inline=False))
def test_a_command_in_an_example_is_one_that_there_is(line: str) -> None:
    """The command line takes it, with every option and argument."""
    assert_taken(line)


@pytest.mark.parametrize("text", [text for text in TOML.findall(README) if "[project]" not in text])
def test_a_configuration_in_it_is_right(text: str, tmp_path: Path) -> None:
    """With the secrets that it names."""
    assert loaded(text, tmp_path) != Config()


def test_every_key_in_it_is_one_that_there_is() -> None:
    """Those that are named in full."""
    sections = {field.name for field in msgspec.structs.fields(Config)}
    named = {key for key in KEY.findall(README) if key.partition(".")[0] in sections}
    assert len(named) > 30
    assert named - set(all_keys(Config)) == set()


def test_every_hook_is_named() -> None:
    """With its arguments."""
    specs = [
        value
        for name, value in vars(hookspecs).items()
        if name.startswith("hermesd_") and isinstance(value, types.FunctionType)
    ]
    assert len(specs) > 3
    for spec in specs:
        arguments = ", ".join(spec.__code__.co_varnames[: spec.__code__.co_argcount])
        assert f"`{spec.__name__}({arguments})`" in README


@pytest.mark.parametrize("metrics", [api_metrics, worker_metrics])
def test_every_metric_is_named(metrics: Callable[[], Sequence[Described]]) -> None:
    """By the name that it is scraped under."""
    assert [each.name for each in metrics() if f"`{each.name}`" not in README] == []


def test_every_metric_that_is_named_is_one() -> None:
    """And none that is gone."""
    there = {each.name for each in (*api_metrics(), *worker_metrics(), *process_metrics())}
    assert set(METRIC.findall(README)) - there == set()


def test_every_make_target_is_named() -> None:
    """In the table of targets."""
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 5
    assert [name for name in targets if f"make {name}" not in README] == []


def test_every_file_that_is_linked_is_there() -> None:
    """And every heading."""
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in LINK.findall(README):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_plugin_of_the_readme_loads() -> None:
    """Its handlers and settings are as the loader wants them."""
    (code,) = [block for block in PYTHON.findall(README) if block.startswith("# shop_jobs.py")]
    module = types.ModuleType("shop_jobs")
    exec(compile(code, "shop_jobs.py", "exec"), vars(module))
    catalogue = load_plugins(enabled=["shop_jobs"], extra=[module])
    plugins = [plugin for plugin in catalogue.plugins if plugin.name == "shop_jobs"]
    assert [(plugin.status, plugin.reason) for plugin in plugins] == [(PluginStatus.LOADED, "")]
    assert list(catalogue.handlers) == ["shop.confirm", "shop.invoice", "shop.report"]


def test_every_example_in_python_compiles() -> None:
    """As it stands."""
    blocks = PYTHON.findall(README)
    assert len(blocks) > 3
    for block in blocks:
        compile(block, "README.md", "exec")
