"""`hermesd config`: check, show, write and change the configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import click
import tomli_w

from hermesd.cli.options import instance_option, json_option
from hermesd.cli.settings import Settings
from hermesd.config import Instance
from hermesd.config.edit import replace_file, set_key
from hermesd.config.effective import effective, origin_lines, with_origins
from hermesd.config.keys import parse_key
from hermesd.config.load import DEFAULT_PATH, load_with_origins
from hermesd.config.secrets import masked
from hermesd.config.template import template
from hermesd.core.errors import ConfigError, InvalidValue


@click.group()
def config() -> None:
    """Check, show, write and change the configuration."""


@config.command()
@instance_option
@json_option
@click.pass_obj
def check(settings: Settings, instance: Instance | None) -> None:
    """Read the configuration and say "ok", or everything that is wrong with it (exit 78)."""
    try:
        load_with_origins(settings.config_paths, os.environ, instance=instance)
    except ConfigError as exc:
        if settings.json:
            click.echo(json.dumps({"ok": False, "problems": exc.problems}))
        _refuse(exc)
    click.echo(json.dumps({"ok": True, "problems": []}) if settings.json else "ok")


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of TOML.")
@click.option("--origin", is_flag=True, help="One line a key, with where its value came from.")
@instance_option
@click.pass_obj
def show(settings: Settings, as_json: bool, origin: bool, instance: Instance | None) -> None:
    """Print every key with the value in effect; secrets are masked."""
    try:
        loaded = load_with_origins(settings.config_paths, os.environ, instance=instance)
    except ConfigError as exc:
        _refuse(exc)
    tree = masked(effective(loaded.config))
    if as_json or settings.json:
        shown: dict[str, Any] = with_origins(tree, loaded.document) if origin else tree
        # Dates and times, which only plugin tables can hold, become strings.
        click.echo(json.dumps(shown, indent=2, default=str))
    elif origin:
        click.echo(origin_lines(tree, loaded.document), nl=False)
    else:
        click.echo(tomli_w.dumps(tree), nl=False)


@config.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite the file if there is one.")
@click.pass_obj
def init(settings: Settings, path: Path | None, force: bool) -> None:
    """Write a configuration file with every key, its default and what it means.

    Without PATH it is the first --config, else /etc/hermes.toml.
    """
    target = path or next(iter(settings.config_paths), DEFAULT_PATH)
    if os.path.lexists(target) and not force:
        _fail(f"{target}: exists already (give --force to overwrite it)", os.EX_CANTCREAT)
    try:
        replace_file(target, template())
    except OSError as exc:
        _fail(f"{target}: cannot be written: {exc.strerror}", os.EX_CANTCREAT)
    click.echo(f"wrote {target}")


@config.command("set")
@click.argument("key")
@click.argument("value")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to change: the last --config, else /etc/hermes.toml.",
)
@click.pass_obj
def set_(settings: Settings, key: str, value: str, path: Path | None) -> None:
    """Set KEY (like api.port) to VALUE (TOML, or a bare string), checked before it is written.

    The file is written anew: its comments are not kept.
    """
    target = path or next(reversed(settings.config_paths), DEFAULT_PATH)
    try:
        names = parse_key(key)
    except InvalidValue as exc:
        _fail(exc.detail, os.EX_USAGE)
    try:
        set_key(target, names, value, settings.config_paths)
    except ConfigError as exc:
        _refuse(exc)
    except OSError as exc:
        _fail(f"{target}: cannot be written: {exc.strerror}", os.EX_CANTCREAT)
    click.echo(f"{target}: {key} is set")


def _refuse(exc: ConfigError) -> NoReturn:
    _fail("\n".join(exc.problems), os.EX_CONFIG)


def _fail(text: str, status: int) -> NoReturn:
    click.echo(text, err=True)
    raise SystemExit(status)
