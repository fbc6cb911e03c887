"""How a receiver can tell that a call is ours: an HMAC over the time and the body."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

TIMESTAMP_HEADER: Final = "X-Hermes-Timestamp"
SIGNATURE_HEADER: Final = "X-Hermes-Signature"


def signature_headers(secret: str, body: bytes, unix_seconds: int) -> dict[str, str]:
    """The two headers that sign `body`: HMAC-SHA256 (RFC 2104) of `<unix seconds>.<body>`.

    The time is under the signature, so that a receiver can refuse a call that is replayed later.
    """
    message = b"%d.%s" % (unix_seconds, body)
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return {TIMESTAMP_HEADER: str(unix_seconds), SIGNATURE_HEADER: f"sha256={digest}"}
