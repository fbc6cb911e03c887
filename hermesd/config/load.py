"""From files and the environment to a Config, or to everything that is wrong with them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hermesd.config.check import Problem, shape_problems
from hermesd.config.instance import Instance
from hermesd.config.keys import dotted
from hermesd.config.layers import DEFAULT_ORIGIN, Document, Layer, read_layer, stacked
from hermesd.config.overrides import environment_layers
from hermesd.config.rules import rule_problems
from hermesd.config.secretfiles import resolve_files
from hermesd.config.sections import Config
from hermesd.core.errors import ConfigError

DEFAULT_PATH: Final = Path("/etc/hermes.toml")


@dataclass(frozen=True)
class Loaded:
    """A configuration and the document it was made of, which knows where each value came from."""

    config: Config
    document: Document


def load(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    *,
    default_path: Path = DEFAULT_PATH,
    instance: Instance | None = None,
) -> Config:
    """The configuration of these files, later ones over earlier ones, and of the environment.

    Without paths it is `default_path`, if there is such a file. An `instance` has its own file over
    them, where there is one: beside the last of them, /etc/hermes.d/INSTANCE.toml. Raises
    ConfigError with all problems, each as `FILE: section.key: reason`.
    """
    return load_with_origins(paths, environ, default_path=default_path, instance=instance).config


def load_with_origins(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    *,
    default_path: Path = DEFAULT_PATH,
    instance: Instance | None = None,
) -> Loaded:
    """As load(), with the document kept."""
    document = read_document(paths, environ, default_path=default_path, instance=instance)
    problems = resolve_files(document, environ)
    return Loaded(build(document, problems), document)


def read_document(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    *,
    default_path: Path = DEFAULT_PATH,
    instance: Instance | None = None,
) -> Document:
    """What files and environment say, before the files that they name are read.

    Raises ConfigError where one cannot be read.
    """
    layers = read_layers(paths, default_path)
    folder = layers[-1].folder if layers else Path.cwd()
    if instance is not None:
        overlay = instance.overlay(paths[-1] if paths else default_path)
        layers.insert(0, instance.defaults(socket.gethostname()))
        layers += _overlaid(overlay)
    return stacked([*layers, *environment_layers(environ, folder)])


def read_layers(paths: Sequence[Path], default_path: Path = DEFAULT_PATH) -> list[Layer]:
    """The layers of the files; raises ConfigError for all those that cannot be read."""
    layers: list[Layer] = []
    problems: list[str] = []
    for path in paths or ([default_path] if os.path.lexists(default_path) else []):
        try:
            layers.append(read_layer(path))
        except ConfigError as exc:
            problems += exc.problems
    if problems:
        raise ConfigError(problems)
    return layers


def _overlaid(path: Path) -> list[Layer]:
    """The file's layer, none where there is no such file; what cannot be looked at is an error."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        pass  # to read it will tell why
    return [read_layer(path)]


def build(document: Document, found: Sequence[Problem] = ()) -> Config:
    """The Config of a document; raises ConfigError with its problems and those `found` before."""
    problems = [*found, *shape_problems(document.tree, Config)]
    config = None
    if not problems:
        config = msgspec.convert(document.tree, Config)
        problems = rule_problems(config)
    if config is None or problems:
        raise ConfigError([_told(document, problem) for problem in problems])
    return config


def validate(config: Config) -> None:
    """Check a Config made in a program by the rules between keys; raises ConfigError."""
    if problems := rule_problems(config):
        raise ConfigError([_told(Document(), problem) for problem in problems])


def _told(document: Document, problem: Problem) -> str:
    source = document.source_of(problem.key)
    origin = source.origin if source else DEFAULT_ORIGIN
    where = f"{dotted(problem.key)}: " if problem.key else ""
    return f"{origin}: {where}{problem.reason}"
