"""`hermesd manpage`: the manual pages, made of the commands and of the configuration's template."""

from __future__ import annotations

import click

HERMESD = "hermesd"
HERMES_TOML = "hermes.toml"


@click.command(short_help="Print the manual page, hermesd(1) or hermes.toml(5).")
@click.argument("page", type=click.Choice([HERMESD, HERMES_TOML]), default=HERMESD)
@click.pass_context
def manpage(ctx: click.Context, page: str) -> None:
    """Print a manual page for man(1): of the commands, or of the configuration's file.

    To read it: hermesd manpage | man -l -
    """
    if page == HERMES_TOML:
        from hermesd.cli.config_manual import config_page

        click.echo(config_page(), nl=False)
        return
    from hermesd.cli.command_manual import command_page

    click.echo(command_page(ctx.find_root().command), nl=False)
