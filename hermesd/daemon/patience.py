"""Asks systemd for more time to start or to stop in, for as long as there is a use for it."""

from __future__ import annotations

from typing import Final

import trio

from hermesd.systemd import Notifier

EVERY_SECONDS: Final = 5.0
GRANT_SECONDS: Final = 20.0  # whoever stands still is ended so long after its last word


async def ask_for_time(notifier: Notifier, most_seconds: float) -> None:
    """Ask again and again until cancelled, for `most_seconds` altogether at most.

    A unit's own TimeoutStartSec= or TimeoutStopSec= is thereby no bound for one that goes on, and
    still one for an event loop that does not turn.
    """
    until = trio.current_time() + most_seconds
    while (left := until - trio.current_time()) > 0:
        notifier.extend_timeout(min(GRANT_SECONDS, left))
        await trio.sleep(EVERY_SECONDS)
