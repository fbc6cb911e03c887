"""A real Chromium on a real api: one browser and one deployment for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.browser import open_browser
from dashboard.stage import Open, Stage, open_stage

PATIENCE_MS: Final = 150_000


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The deployment that every test shares; tests tell their jobs apart by labels."""
    with open_stage(tmp_path_factory.mktemp("dashboard")) as opened:
        yield opened


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser that every test shares."""
    expect.set_options(timeout=PATIENCE_MS)
    with open_browser() as opened:
        yield opened


@pytest.fixture
def show(stage: Stage, browser: Browser) -> Iterator[Open]:
    """Opens a view in a window of its own, with options of Playwright's contexts.

    What a page throws, and whatever its security policy had to stop, fails the test.
    """
    faults: list[str] = []
    contexts = []

    def open_view(view: str = "#/", *, width: int = 1280, **options: Any) -> Page:
        place = {"locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
        context = browser.new_context(viewport={"width": width, "height": 860}, **place)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if _policy(said.text) else None)
        page.goto(stage.url + view)
        return page

    yield open_view
    for context in contexts:
        context.close()
    assert not faults


def _policy(text: str) -> bool:
    return "Content Security Policy" in text
