"""Pictures of the dashboard at work; `make screenshots` puts them where the README has them.

With SCREENSHOTS in the environment the load goes on for as long as the charts' first window, so
that they show something, and the pictures are kept in that folder.
"""

from __future__ import annotations

import math
import os
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from dashboard.stage import Open, Stage

LONG_SECONDS: Final = 270.0
SHORT_SECONDS: Final = 1.0
ROUND_SECONDS: Final = 0.5
MAX_BYTES: Final = 300 * 1024
# The image is one pixel, to be made larger.
RESIZE: Final = {
    "source_base64": "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==",
    "width": 8,
    "height": 8,
    "mode": "exact",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go."""
    kept = os.environ.get("SCREENSHOTS")
    return Path(kept) if kept else tmp_path


@pytest.mark.faults
def test_the_dashboard_is_pictured_at_work(stage: Stage, show: Open, folder: Path) -> None:
    """Small pictures of four views under load."""
    bob = stage.run(stage.deployment.worker, "bob")
    stage.run(stage.client.routable, "bob")
    load = Load(stage)
    load.go_on(LONG_SECONDS if "SCREENSHOTS" in os.environ else SHORT_SECONDS)
    labels = {"customer": "ann", "zone": "north"}
    long = stage.submit("teller", {"steps": 400, "lines": 6}, labels=labels)
    pictures = {
        "overview": show("#/", color_scheme="light"),
        "jobs-dark": show("#/jobs", color_scheme="dark"),
        "job": show(f"#/jobs/{long}", color_scheme="light"),
        "overview-narrow": show("#/", width=360, color_scheme="dark"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pictures.items():
        load.go_on(SHORT_SECONDS)
        expect(page.locator("#pulse")).to_have_class("pulse fresh")
        expect(page.get_by_text("Loading…")).to_have_count(0)
        expect(page.locator(".attempts, path.line, tbody tr").first).to_be_attached()
        save(page, folder / f"{name}.png")
    assert sum((folder / f"{name}.png").stat().st_size for name in pictures) < MAX_BYTES
    bob.sigterm()
    assert stage.run(bob.wait) == 0


class Load:
    """Jobs of many kinds, in waves."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rounds = 0

    def go_on(self, seconds: float) -> None:
        """Submit so long, a batch each half second."""
        ends_at = monotonic() + seconds
        while (now := monotonic()) < ends_at:
            self._stage.post("jobs/batch", {"jobs": self._batch()})
            self._rounds += 1
            self._stage.wait(max(0.0, now + ROUND_SECONDS - monotonic()))

    def _batch(self) -> list[dict[str, Any]]:
        many = 12 + round(10 * math.sin(self._rounds / 40))
        jobs = [noted("note", 0.05 + each / 50) for each in range(many)]
        jobs += [noted("note.process", 0.2, priority=each % 11) for each in range(0, many, 3)]
        if self._rounds % 2 == 0:
            jobs.append({"type": "resize-image", "payload": RESIZE, "priority": "high"})
        if self._rounds % 16 == 0:
            jobs.append({"type": "fragile", "payload": {"failures": 2}})
            jobs.append({"type": "hopeless", "labels": {"customer": "ann"}})
        return jobs


def noted(job_type: str, seconds: float, **members: Any) -> dict[str, Any]:
    """A job that takes so long."""
    return {"type": job_type, "payload": {"seconds": seconds}, **members}


def save(page: Page, path: Path) -> None:
    """A picture of what is seen, in few colours."""
    image = Image.open(BytesIO(page.screenshot()))
    image.convert("RGB").quantize(colors=256).save(path, optimize=True)
