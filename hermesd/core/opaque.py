"""Places that clients carry from one request to the next without reading them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

MAX_LENGTH: Final = 400


def sealed(kind: str, text: str) -> str:
    """A text of a kind, in URL-safe letters."""
    return urlsafe_b64encode(f"{kind}:{text}".encode()).decode().rstrip("=")


def opened(kind: str, cursor: str) -> str | None:
    """The text within; None for what is not of that kind, or nothing at all."""
    try:
        if len(cursor) > MAX_LENGTH:
            return None
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        plain = urlsafe_b64decode(padded).decode()
    except (ValueError, binascii.Error):
        return None
    return plain.removeprefix(f"{kind}:") if plain.startswith(f"{kind}:") else None
