"""What the command line says before any command: handed to each as click's `ctx.obj`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`config_paths` in the order given (none: the default file); `json`: print JSON."""

    config_paths: tuple[Path, ...] = ()
    json: bool = False
