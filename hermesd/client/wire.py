"""What both clients share of httpx: the connection's settings, a request's, and its exceptions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from hermesd import __version__
from hermesd.client.calls import Call
from hermesd.client.faults import ClientError, ConnectionFailed
from hermesd.client.feed import SILENCE_SECONDS
from hermesd.client.reading import Inbox
from hermesd.core.errors import InvalidValue

H = TypeVar("H")

DEFAULT_URL: Final = "http://127.0.0.1:8081"
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, kw_only=True)
class Wire:
    """Where the api is, and how long and how much of an answer is waited for and read."""

    base_url: str
    timeout_seconds: float
    max_answer_bytes: int

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.base_url)
        except (httpx.InvalidURL, TypeError) as error:
            raise InvalidValue(f"{self.base_url!r} is no URL: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidValue(f"{self.base_url!r} is no http:// or https:// URL")
        if not self.timeout_seconds > 0:
            raise InvalidValue("timeout_seconds must be above 0")

    def options(self) -> dict[str, Any]:
        """The arguments of httpx.Client and httpx.AsyncClient."""
        return {
            "base_url": self.base_url,
            "headers": {
                "user-agent": f"hermesd-client/{__version__}",
                "accept": "application/json",
                # Compressed, a small answer could become one of any size.
                "accept-encoding": "identity",
            },
            "timeout": self.timeout_seconds,
            # Loading the CA certificates takes longer than a call; plain HTTP needs none.
            "verify": self.base_url.lower().startswith("https:"),
        }

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of httpx's `stream()` for one call."""
        content_type = {"content-type": "application/json"} if call.body is not None else {}
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query or None,
            "content": call.body,
            "headers": {**content_type, **call.headers},
            "timeout": self.patience(call),
        }

    def feed_request(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """The arguments of httpx's `stream()` for the event stream."""
        timeout = httpx.Timeout(self.timeout_seconds, read=SILENCE_SECONDS)
        return {"method": "GET", "url": "/events/stream", "headers": headers, "timeout": timeout}

    def patience(self, call: Call[Any]) -> float:
        """Seconds until an answer must have begun, and again until it must have ended."""
        return self.timeout_seconds + call.patience_seconds

    def inbox(self, seconds: float) -> Inbox:
        """A fresh one for an answer that has `seconds` from now to end."""
        return Inbox(
            max_bytes=self.max_answer_bytes,
            deadline=time.monotonic() + seconds,
            monotonic=time.monotonic,
        )


def opened(factory: Callable[..., H], wire: Wire) -> H:
    """httpx's client; raises InvalidValue where the environment's proxy settings are no good."""
    try:
        return factory(**wire.options())
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise InvalidValue(f"the proxy that the environment names: {error}") from error


@contextmanager
def translated(base_url: str, idempotency_key: str | None = None) -> Iterator[None]:
    """Turns what httpx raises into ConnectionFailed, and gives every fault the submit's key."""
    try:
        yield
    except ClientError as fault:
        fault.idempotency_key = idempotency_key
        raise
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        reason = _ERRNO.sub("", str(error)) or type(error).__name__
        sent = not isinstance(error, _NOT_SENT)
        what = "no answer from" if sent else "cannot reach"
        failed = ConnectionFailed(f"{what} {base_url}: {reason}", sent=sent)
        failed.idempotency_key = idempotency_key
        raise failed from error


def header_mapping(headers: httpx.Headers) -> dict[str, str]:
    """Names in lower case; repeated ones joined."""
    return {name.lower(): value for name, value in headers.items()}
