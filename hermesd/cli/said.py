"""What every order says of itself: why, and who gives it."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hermesd.client import Said

F = TypeVar("F", bound=Callable[..., Any])


def reason_option(command: F) -> F:
    """`--reason`."""
    option = click.option("--reason", help="Why, for whoever wonders later.")
    return option(command)


def said(reason: str | None) -> Said:
    """The reason, and this user on this host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = ""
    return {"reason": reason, "by": f"{user}@{socket.gethostname()}" if user else None}
