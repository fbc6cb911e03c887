"""What is examined: a daemon as it is, or would be, on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hermesd.config import Config, Instance
from hermesd.config.layers import Document
from hermesd.daemon.role import Role


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A daemon's configuration, and the `document` that it was made of, without the secrets.

    `files` are those that exist of it. `url` is where its api answers. `user` is who runs the
    daemon, where that was said. `seconds` is how long one check may take.
    """

    config: Config
    document: Document
    role: Role
    instance: Instance | None
    files: tuple[Path, ...]
    environ: Mapping[str, str]
    url: str
    user: str | None
    seconds: float
