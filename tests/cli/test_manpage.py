"""`hermesd manpage`: the pages are whole, and a formatter finds no fault with them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import Result

from hermesd.cli import exits
from hermesd.cli.command_manual import commands
from hermesd.cli.main import cli
from hermesd.cli.roff import plain
from hermesd.config import Config
from hermesd.config.effective import effective
from hermesd.config.keys import leaves

PATIENCE_SECONDS = 150.0


@pytest.fixture
def rendered(run: Callable[..., Result]) -> Callable[[str], str]:
    """A page as a terminal shows it, in one wide line a paragraph; a warning is a failure."""

    def rendered(page: str) -> str:
        answer = run("manpage", page)
        source = answer.stdout
        assert (answer.exit_code, source.isascii()) == (0, True)
        done = subprocess.run(
            ["groff", "-ww", "-man", "-rLL=400n", "-P-cbou", "-Tutf8"],
            input=source,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert done.stderr == ""
        return re.sub(r" +", " ", done.stdout)

    return rendered


def test_every_command_and_option_is_in_the_page(rendered: Any) -> None:
    """With its usage, as `--help` has it."""
    page = rendered("hermesd")
    known = list(commands(click.Context(cli, info_name="hermesd")))
    assert len(known) > 40
    for context in known:
        usage = " ".join(context.command.collect_usage_pieces(context))
        assert f"\n {context.command_path}\n {context.command_path} {usage}\n" in page
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(name in page for name in parameter.opts)


def test_every_exit_code_is_in_the_page(rendered: Any) -> None:
    """And the other sections that people look for."""
    page = rendered("hermesd")
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    told = page.partition("EXIT STATUS")[2].partition("ENVIRONMENT")[0]
    assert {int(code) for code in re.findall(r"^ (\d+) ", told, re.MULTILINE)} == codes
    for title in ("NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "ENVIRONMENT", "FILES", "SIGNALS"):
        assert f"\n{title}\n" in page


def test_every_key_of_the_configuration_is_in_the_other_page(rendered: Any) -> None:
    """Below its section."""
    page = rendered("hermes.toml")
    sections = dict(
        re.findall(
            r"^ \[([a-z.]+)\](?: \(restart\))?\n(.*?)(?=^ \[|\Z)", page, re.MULTILINE | re.DOTALL
        )
    )
    keys = [key for key, _ in leaves(effective(Config()))]
    assert len(keys) > 80
    for *tables, name in keys:
        table = ".".join((*tables, name))
        own = re.search(rf"^ {name} = ", sections.get(".".join(tables), ""), re.MULTILINE)
        assert own or table in sections, table


@pytest.mark.parametrize("text", [".SH x", "'br", "a\\fBb", "-–…", '"quoted"', "\\", "`^~"])
def test_no_text_is_taken_for_a_request(text: str) -> None:
    """It is printed as it is."""
    source = f".TH T 1\n.PP\n\\&{plain(text)}\n"
    command = ["groff", "-ww", "-man", "-P-cbou", "-Tutf8"]
    done = subprocess.run(
        command, input=source, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert (done.stderr, text in done.stdout) == ("", True)
