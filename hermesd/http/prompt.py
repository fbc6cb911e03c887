"""What an app can offer beside ASGI: to serve certain requests without a task of their own."""

from collections.abc import Callable
from typing import TypeAlias

from hermesd.http.asgi import Headers

# The answer: its status, its fields (none about the connection or its framing) and its body.
Reply: TypeAlias = Callable[[int, Headers, bytes], None]
# Serves a request that has this body, without waiting, and replies once, at once or later.
# False, and nothing is done, where the app is to be called after all.
Take: TypeAlias = Callable[[bytes, Reply], bool]
# Who takes the requests of this method, target and headers, always; None: the app serves them.
Prompt: TypeAlias = Callable[[str, bytes, Headers], Take | None]


def nobody(method: str, target: bytes, headers: Headers) -> None:
    """The Prompt of an app that serves all by itself."""
