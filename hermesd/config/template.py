"""The commented configuration file that comes with hermesd."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hermesd.core.errors import Broken

_PACKAGE: Final = Path(__file__).parent.parent
_PLACES: Final = (
    _PACKAGE / "etc" / "hermes.toml",  # in a wheel
    _PACKAGE.parent / "etc" / "hermes.toml",  # in a checkout
)


def template() -> bytes:
    """The text of etc/hermes.toml; raises Broken where the installation lacks it."""
    for place in _PLACES:
        if place.is_file():
            return place.read_bytes()
    raise Broken(f"this installation has no {_PLACES[0]}")
