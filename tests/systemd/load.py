"""Submits jobs one after the other, each on a connection of its own; run by tests.

A line of JSON each: `{"status": …}`, or `{"failed": …}` for a connection that was refused or lost.
It goes on until stdin ends, or for MOST of them.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from typing import Final

MOST: Final = 20_000
SECONDS: Final = 60.0
BODY: Final = json.dumps({"type": "resize-image", "payload": {}, "delay": 3600.0}).encode()


def once(port: int) -> dict[str, object]:
    """One submit."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("POST", "/jobs", BODY, {"Content-Type": "application/json"})
        return {"status": connection.getresponse().status}
    except (OSError, http.client.HTTPException) as error:
        return {"failed": repr(error)}
    finally:
        connection.close()


def watch(over: threading.Event) -> None:
    """Set it at the end of stdin."""
    sys.stdin.read()
    over.set()


def main() -> None:
    """Until stdin ends."""
    over = threading.Event()
    threading.Thread(target=watch, args=(over,), daemon=True).start()
    for _ in range(MOST):
        if over.is_set():
            return
        print(json.dumps(once(int(sys.argv[1]))), flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
