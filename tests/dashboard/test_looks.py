"""No view is too wide, too large, closed to anyone, or moved by what a job says."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no types
from playwright.sync_api import Locator, Page, expect

from dashboard.stage import Open, Stage

MAX_BYTES: Final = 200 * 1024
# Narrowed where they are long: more lines of the same kind are no other case, but cost time.
VIEWS: Final = {
    "overview": "#/",
    "jobs": "#/jobs?state=failed",
    "workers": "#/workers?id=ann",
    "queues": "#/queues",
    "letters": "#/letters",
    "schedules": "#/schedules",
    "types": "#/types",
    "type": "#/types/parcel",
    "events": "#/events?kind=failed",
}
# What would run if any of it were taken for markup, an address or a script.
HOSTILE: Final = (
    "<script>window.taken = 1</script>"
    "<img src=x onerror='window.taken = 2'><svg onload='window.taken = 3'>"
    "<a href='javascript:window.taken = 4'>go</a>\"'><iframe src='javascript:parent.taken = 5'>"
    "</script></textarea>{{7*7}}${window.taken = 6}"
)
ADDRESS: Final = "javascript:window.taken=7"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_fit_a_narrow_screen(stage: Stage, show: Open, scheme: str, tmp_path: Path) -> None:
    """At 360 pixels nothing is wider than the screen, and everything can be reached."""
    dead = long_job(stage)
    page = show(width=360, color_scheme=scheme)
    for name, view in {**VIEWS, "job": f"#/jobs/{dead}"}.items():
        page.goto(stage.url + view)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        page.screenshot(path=tmp_path / f"{name}.png")
    page.get_by_role("button", name="More").click()
    page.get_by_role("link", name="Schedules").click()
    expect(page.get_by_role("heading", name="Schedules")).to_be_visible()
    page.get_by_role("button", name="Submit a job").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    dialog = new_schedule(page, stage)
    assert dialog.evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0
    page.screenshot(path=tmp_path / "new-schedule.png")


def test_views_fit_screens_in_between(stage: Stage, show: Open) -> None:
    """Tables scroll in their own boxes, and what can be done with a row stays in sight."""
    page = show(width=800)
    for name, view in {**VIEWS, "job": f"#/jobs/{long_job(stage)}"}.items():
        page.goto(stage.url + view)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 800, name
    page.goto(f"{stage.url}#/workers")
    expect(page.get_by_role("button", name="Drain").first).to_be_in_viewport(ratio=1)


def test_views_are_open_to_everyone(stage: Stage, show: Open) -> None:
    """axe-core finds no fault by the rules of WCAG 2.2 A and AA: names, labels, contrast, order."""
    dead = long_job(stage)
    page = show(color_scheme="light")
    found = []
    for view in (*VIEWS.values(), f"#/jobs/{dead}"):
        page.goto(stage.url + view)
        settled(page)
        found += [f"{view} {fault}" for fault in faults(page, {"type": "tag", "values": _RULES})]
    page.keyboard.press("n")
    expect(page.get_by_role("dialog")).to_be_visible()
    found += faults(page, {"type": "tag", "values": _RULES})
    new_schedule(page, stage)
    found += faults(page, {"type": "tag", "values": _RULES})
    assert found == []


@pytest.mark.parametrize("width", [1280, 360])
def test_views_keep_their_contrast_in_the_dark(stage: Stage, show: Open, width: int) -> None:
    """Also where the layout is another one."""
    dead = long_job(stage)
    page = show(width=width, color_scheme="dark")
    found = []
    for view in ("#/", "#/letters", f"#/jobs/{dead}"):
        page.goto(stage.url + view)
        settled(page)
        rules = {"type": "rule", "values": ["color-contrast", "target-size", "label"]}
        found += [f"{view} {fault}" for fault in faults(page, rules)]
    assert found == []


def test_nothing_that_a_job_says_is_more_than_text(stage: Stage, show: Open) -> None:
    """Shown as it is in every view, with the browser's own protection switched off."""
    failed = stage.ended(
        "parrot", {"says": HOSTILE, HOSTILE: ADDRESS, "error": HOSTILE}, labels={"note": HOSTILE}
    )
    done = stage.ended("parrot", {"says": ADDRESS, "echo": HOSTILE}, labels={"link": ADDRESS})
    name = f"hostile-{failed['id'][-6:]}"
    body = {"name": name, "cron": "0 3 * * *", "type": "parrot", "payload": {"says": HOSTILE}}
    stage.post("schedules", {**body, "description": HOSTILE, "labels": {"note": HOSTILE}})
    page = show(bypass_csp=True)
    views = [f"#/jobs/{failed['id']}", f"#/jobs/{done['id']}", "#/jobs", "#/letters", "#/events"]
    for view in [*views, "#/", f"#/schedules/{name}", "#/schedules"]:
        page.goto(stage.url + view)
        settled(page)
        assert page.evaluate("window.taken") is None, view
        strange = "main :is(script, img, iframe, object, embed, [onerror], [onload])"
        expect(page.locator(strange)).to_have_count(0)
        expect(page.locator("a[href^='javascript:' i]")).to_have_count(0)
    page.goto(f"{stage.url}#/jobs/{failed['id']}")
    expect(page.get_by_role("region", name="Error")).to_contain_text(HOSTILE)
    expect(page.get_by_role("log")).to_contain_text(HOSTILE)
    expect(page.locator(".facts")).to_contain_text(HOSTILE)


def test_hostile_addresses_are_only_filters(show: Open) -> None:
    """What a link from elsewhere may carry."""
    page = show(f"#/jobs?text={HOSTILE}&state=%22%3E%3Cscript%3E", bypass_csp=True)
    expect(page.get_by_role("main")).to_contain_text("Jobs")
    for view in (
        "#/workers?id=<img src=x onerror=window.taken=1>",
        "#/%",
        "#/types/<svg onload=1>",
    ):
        page.goto(page.url.partition("#")[0] + view)
        settled(page)
        assert page.evaluate("window.taken") is None
    expect(page.locator("main :is(script, img, iframe)")).to_have_count(0)


def test_the_dashboard_is_small_and_needs_nothing_from_elsewhere(stage: Stage, show: Open) -> None:
    """Under 200 KB uncompressed in all, and every request is for the api."""
    folder = files("hermesd") / "dashboard"
    assert sum(len(entry.read_bytes()) for entry in folder.iterdir()) < MAX_BYTES
    page = show()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    settled(page)
    assert len(asked) > 10
    assert all(url.startswith((stage.url, "data:")) for url in asked)


def long_job(stage: Stage) -> str:
    """A job with long words everywhere, which has failed."""
    word = "unbroken" * 30
    payload = {"says": word, word: word, "error": word}
    found: str = stage.ended("parrot", payload, labels={"label": word})["id"]
    return found


def new_schedule(page: Page, stage: Stage) -> Locator:
    """The dialog for a new one, with all of its fields unfolded and some faulted."""
    page.goto(f"{stage.url}#/schedules")
    page.reload()
    page.get_by_role("button", name="New schedule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Options").click()
    dialog.get_by_role("button", name="Make the schedule").click()
    expect(dialog.get_by_label("Cron")).to_have_attribute("aria-invalid", "true")
    return dialog


def settled(page: Page) -> None:
    """Return when the view has loaded what it shows."""
    expect(page.locator("#pulse")).to_have_class("pulse fresh")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("Loading…")).to_have_count(0)
    page.wait_for_load_state("load")


def faults(page: Page, rules: Mapping[str, object]) -> list[str]:
    """What axe-core finds by these rules, and where."""
    options = {"resultTypes": ["violations"], "runOnly": rules}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
