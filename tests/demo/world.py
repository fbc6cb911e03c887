"""The folder, the configuration and the environment that the demo's daemons live in."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import tomli_w

from tests.demo.mailbox import USER, Mailbox, open_mailbox
from tests.demo.receiver import Receiver, open_receiver

CONFIG: Final = "hermes.toml"
PASSWORD_FILE: Final = "smtp-password"


@dataclass(frozen=True)
class World:
    """`folder` has the configuration, the store and the images; `environ` names the former."""

    folder: Path
    images: Path
    environ: Mapping[str, str]
    mailbox: Mailbox
    receiver: Receiver


@contextmanager
def open_world() -> Iterator[World]:
    """Everything but the daemons, gone afterwards."""
    with TemporaryDirectory(prefix="hermesd-demo-") as name:
        folder = Path(name).resolve()
        images = folder / "images"
        images.mkdir()
        password = secrets.token_urlsafe(16)
        (folder / PASSWORD_FILE).write_text(password + "\n")
        (folder / PASSWORD_FILE).chmod(0o600)
        with open_mailbox(password, folder / "ca.pem") as mailbox, open_receiver() as receiver:
            settings = configuration(folder, images, mailbox.port)
            (folder / CONFIG).write_text(tomli_w.dumps(settings))
            yield World(folder, images, _environ(folder), mailbox, receiver)


def configuration(folder: Path, images: Path, smtp_port: int) -> dict[str, Any]:
    """Ports 0 take free ones, so that the demo can run beside a daemon on the usual ones."""
    return {
        "api": {"port": 0},
        "control": {"port": 0},
        "worker": {"port": 0, "id": "demo-worker"},
        "store": {"url": f"sqlite:///{folder / 'hermes.db'}"},
        "log": {"format": "json"},
        "plugins": {
            "strict": True,
            "enabled": ["email", "http", "resize-image"],
            "settings": {
                "email": {
                    "host": "127.0.0.1",
                    "port": smtp_port,
                    "security": "starttls",
                    "username": USER,
                    "password_file": PASSWORD_FILE,
                    "ca_file": str(folder / "ca.pem"),
                    "sender": "hermesd demo <demo@example.org>",
                },
                "resize-image": {"allowed_roots": [str(images)]},
                "http": {"allow_private_addresses": True},
            },
        },
    }


def _environ(folder: Path) -> dict[str, str]:
    """Without settings of whoever runs the demo, and past any proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HERMES_")}
    return {**kept, "HERMES_CONFIG": str(folder / CONFIG), "NO_PROXY": "*", "no_proxy": "*"}
