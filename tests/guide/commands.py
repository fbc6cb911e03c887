"""The commands of ours that a text shows, and whether the command line would take them."""

from __future__ import annotations

import re
import shlex
from typing import Final

import click

from hermesd.cli.main import cli

_SHELL: Final = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINE: Final = re.compile(r"^(?:ID=\$\()?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(hermesd(?: .+?)?)\)?$")
_INLINE: Final = re.compile(r"`((?:[A-Z_]+=\S+ )*hermesd [^`]+)`")
_VARIABLES: Final = re.compile(r"^(?:[A-Z_]+=\S+ )+")


def commands_in(text: str, *, inline: bool = True) -> list[str]:
    """The lines of ours in examples, and those in the running text."""
    lines = [line.strip() for block in _SHELL.findall(text) for line in block.splitlines()]
    found = [match[1] for line in lines if (match := _LINE.match(line))]
    if inline:
        found += [_VARIABLES.sub("", told) for told in _INLINE.findall(text)]
    return list(dict.fromkeys(found))


def assert_taken(line: str) -> None:
    """With every option and argument."""
    words = shlex.split(line, comments=True)[1:]
    _assert_parsed(cli, "hermesd", ["3" if word == "N" else word for word in words])


def _assert_parsed(command: click.Command, name: str, arguments: list[str]) -> None:
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
        _assert_parsed(child, child_name, more)
