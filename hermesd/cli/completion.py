"""`hermesd completion`: what a shell reads to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

PROGRAM: Final = "hermesd"
VARIABLE: Final = "_HERMESD_COMPLETE"  # click's name for it, from the program's
SHELLS: Final = ("bash", "zsh", "fish")


@click.command(short_help="Print what completes commands in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete commands, options and their choices.

    For this shell: source <(hermesd completion bash). For all of them: write it into
    /usr/share/bash-completion/completions/hermesd, /usr/share/zsh/vendor-completions/_hermesd or
    /usr/share/fish/vendor_completions.d/hermesd.fish.
    """
    completer = get_completion_class(shell)
    assert completer is not None, "click knows all of SHELLS"
    click.echo(completer(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
