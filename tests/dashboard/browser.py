"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
_OPTIONS: Final = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser without a window, until the context is left; only for the thread that opened it.

    Until then this thread is Playwright's in the eyes of asyncio: nothing else may use that here.
    """
    # Where trio-asyncio was imported, it gives out loops of its own unless a policy is chosen.
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
            yield opened
            opened.close()
    finally:
        asyncio.set_event_loop_policy(None)
