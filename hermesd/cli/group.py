"""The outermost command group: loads a command when it is asked for, and ends every run alike."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from hermesd.cli import exits
from hermesd.cli.exits import Failed, failed


class LazyGroup(click.Group):
    """A group whose commands are imported on use: `lazy` maps a name to (module:attribute, help).

    Importing them all would make the fast commands as slow as the slowest.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which they are told."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where there is none of that name."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list for --help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self.lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names for a shell, from the table alone; options as click has them."""
        names = [
            CompletionItem(name, help=about)
            for name, (_, about) in self.lazy.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; click would give a closed pipe and Ctrl-C codes of its own."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            _drop_stdout()
            raise SystemExit(exits.PIPE_CLOSED) from None
        except KeyboardInterrupt:
            raise SystemExit(exits.INTERRUPTED) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """As click's, but with every failure told and coded as `exits` has it."""
        given = sys.argv[1:] if args is None else list(args)
        run = partial(super().main, given, prog_name, complete_var, False, **extra)
        if not standalone_mode:
            return run()
        sys.exit(_ended(run, as_json="--json" in given))


def _ended(run: Callable[[], Any], as_json: bool) -> int:
    try:
        result = run()
        return result if isinstance(result, int) else exits.OK
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return exits.USAGE
    except click.Abort:
        return exits.INTERRUPTED
    except click.ClickException as error:
        return tell(_usage(error), as_json)
    except Exception as error:
        return tell(failed(error) or _defect(error), as_json)


def tell(failure: Failed, as_json: bool) -> int:
    """Says on stderr what went wrong; returns the exit code."""
    if as_json:
        own = {"detail": failure.detail, "exit_code": failure.exit_code}
        text = msgspec.json.encode({"error": {**failure.members, **own}}, enc_hook=str).decode()
    else:
        text = "\n".join(f"hermesd: {line}" for line in failure.detail.splitlines() or [""])
    with contextlib.suppress(OSError):  # nobody is left to be told
        click.echo(text, err=True)
    return failure.exit_code


def _usage(error: click.ClickException) -> Failed:
    detail = error.format_message().replace("\n", " ")
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    code = exits.USAGE if isinstance(error, click.UsageError) else exits.NO_INPUT
    return Failed(code, detail + hint, {"slug": "usage"})


def _defect(error: Exception) -> Failed:
    """A bug: here the one line would not be enough to mend it."""
    trace = "".join(traceback.format_exception(error))
    click.echo(trace, err=True, nl=False)
    return Failed(exits.INTERNAL, f"internal error: {error!r}", {"slug": "internal"})


def _drop_stdout() -> None:
    """Lets the interpreter's last flush of stdout go nowhere instead of failing aloud."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
