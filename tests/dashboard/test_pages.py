"""What each view shows, its deep links, and the keyboard."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Route, expect

from dashboard.stage import Open, Stage
from hermesd.core.events import EventKind


def mark() -> str:
    """A word that no other test uses."""
    return uuid4().hex[:12]


def test_the_overview_tells_rates_and_depths_and_draws_every_chart(
    stage: Stage, show: Open
) -> None:
    """Tiles by the summary, charts by the history that the daemon keeps."""
    stage.ended("note")
    page = show()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".tile", has_text="Workers").locator("b")).to_have_text("1")
    for title in ("Throughput", "Waiting jobs by priority", "Submit → start", "Run time"):
        figure = page.locator("figure", has_text=title)
        expect(figure.locator("path.line").first).to_be_attached()
        expect(figure.locator("li").first).to_have_text(re.compile(r"^at \d\d:\d\d:\d\d$"))
    expect(page.locator("#pulse")).to_have_class("pulse fresh")


def test_a_chart_tells_the_values_of_a_moment_to_the_keyboard_and_to_the_pointer(
    stage: Stage, show: Open
) -> None:
    """A slider: arrow keys move along it, and what it says is read out."""
    page = show("#/?window=3600")
    plot = page.get_by_role("slider", name="Throughput")
    expect(plot).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d: submitted"))
    plot.focus()
    page.keyboard.press("End")
    expect(plot.locator(".readout")).to_contain_text("succeeded")
    last = int(plot.get_attribute("aria-valuenow") or "")
    page.keyboard.press("ArrowLeft")
    expect(plot).to_have_attribute("aria-valuenow", re.compile(f"^({last - 1}|{last})$"))
    page.keyboard.press("Escape")
    expect(plot.locator(".readout")).to_be_hidden()
    plot.hover(position={"x": 200, "y": 50})
    expect(plot.locator(".readout")).to_be_visible()
    page.get_by_role("link", name="6 h").click()
    expect(page).to_have_url(re.compile(r"window=21600"))


def test_a_chart_without_values_yet_takes_keys_and_shows_what_comes(show: Open) -> None:
    """The page of an api that has just started, or answers late."""
    page = show("#/jobs")
    held: list[Route] = []
    page.route("**/stats/history?*", lambda route: held.append(route))
    with page.expect_request("**/stats/history?*"):
        page.get_by_role("link", name="Overview", exact=True).click()
    plot = page.get_by_role("slider", name="Throughput")
    for key in ("End", "ArrowLeft", "Escape"):
        plot.press(key)
    for route in held:
        route.continue_()
    page.unroute("**/stats/history?*")
    expect(plot).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d: submitted"))
    expect(plot.locator(".readout")).to_be_hidden()


def test_jobs_are_listed_and_narrowed_by_what_the_address_says(stage: Stage, show: Open) -> None:
    """A deep link sets the form, and the form sets the address."""
    label = mark()
    done = stage.ended("note", labels={"mark": label})
    dead = stage.ended("hopeless", labels={"mark": label})
    page = show(f"#/jobs?label=mark:{label}")
    table = page.get_by_role("table", name="Jobs")
    expect(table.locator("tbody tr")).to_have_count(2)
    page.get_by_role("checkbox", name="failed").check()
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(table).to_contain_text("permanent: no use")
    expect(page).to_have_url(re.compile(f"state=failed.*|label=mark%3A{label}"))
    again = show(page.url.removeprefix(stage.url))
    expect(again.get_by_role("checkbox", name="failed")).to_be_checked()
    expect(again.locator(f"tr[data-key='{dead['id']}']")).to_be_visible()
    expect(again.locator(f"tr[data-key='{done['id']}']")).to_have_count(0)
    again.get_by_role("button", name="Clear").click()
    expect(again.get_by_role("checkbox", name="failed")).not_to_be_checked()


def test_filters_that_cannot_be_are_told_and_can_be_mended(show: Open) -> None:
    """By the api, where the browser's own field takes them."""
    page = show("#/jobs")
    page.get_by_text("More filters").click()
    page.get_by_label("Label", exact=True).fill("nonsense")
    expect(page.get_by_role("alert")).to_contain_text(["not of the form name:value"])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".fault")).to_be_hidden()
    page.get_by_label("Created after").fill("12345-01-01T00:00:00")
    expect(page.locator(".fault")).to_contain_text("after")


def test_jobs_are_paged_by_a_cursor(stage: Stage, show: Open) -> None:
    """Fifty a page, and back."""
    label = mark()
    items = [{"type": "note", "labels": {"mark": label}}] * 60
    stage.post("jobs/batch", {"jobs": items})
    page = show(f"#/jobs?label=mark:{label}")
    lines = page.get_by_role("table", name="Jobs").locator("tbody tr")
    expect(lines).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(lines).to_have_count(10)
    page.get_by_role("link", name="First page").click()
    expect(lines).to_have_count(50)


def test_a_job_shows_attempts_payload_result_log_and_history(stage: Stage, show: Open) -> None:
    """All that there is to know of one job."""
    job = stage.ended("teller", {"steps": 2, "lines": 3, "failures": 1}, labels={"who": "ann"})
    page = show(f"#/jobs/{job['id']}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("teller")
    expect(page.locator(".attempts li")).to_have_count(2)
    expect(page.locator(".attempts li").first).to_contain_text("RuntimeError: told and failed")
    expect(page.get_by_role("region", name="Payload")).to_contain_text('"failures": 1')
    expect(page.get_by_role("log")).to_contain_text("line 2")
    expect(page.get_by_role("table", name="History")).to_contain_text("retry")
    expect(page.locator(".facts")).to_contain_text("who: ann")
    created = page.locator(".facts time").first
    utc = job["created_at"].replace("T", " ").replace("Z", " UTC")
    expect(created).to_have_attribute("title", utc)


def test_the_group_of_those_without_a_message_is_a_group(stage: Stage, show: Open) -> None:
    """Listed alone, however one comes there, and when its filters are changed."""
    label = mark()
    silent = stage.ended("parrot", {"says": "", "error": ""}, labels={"mark": label})
    loud = stage.ended("parrot", {"says": "", "error": label}, labels={"mark": label})
    page = show(f"#/letters?type=parrot&error=&label=mark:{label}")
    expect(page.locator(f"tr[data-key='{silent['id']}']")).to_be_visible()
    expect(page.locator(f"tr[data-key='{loud['id']}']")).to_have_count(0)
    page.get_by_label("Queue").fill("default")
    expect(page).to_have_url(re.compile(r"error=(&|$)"))
    expect(page.locator(".group")).to_contain_text("(no message)")
    expect(page.locator(f"tr[data-key='{silent['id']}']")).to_be_visible()
    expect(page.locator(f"tr[data-key='{loud['id']}']")).to_have_count(0)


def test_whole_numbers_of_a_payload_are_shown_exactly(stage: Stage, show: Open) -> None:
    """Also those that a browser's numbers cannot hold."""
    job_id = stage.submit("note", {"seconds": 0, "order": 12345678901234567890})
    page = show(f"#/jobs/{job_id}")
    expect(page.get_by_role("region", name="Payload")).to_contain_text("12345678901234567890")


def test_the_workers_page_tells_slots_load_types_and_queues(stage: Stage, show: Open) -> None:
    """A line each, and more of the one that is chosen."""
    page = show("#/workers?id=ann")
    line = page.get_by_role("table", name="Workers").locator("tbody tr", has_text="ann")
    expect(line).to_contain_text(re.compile(r"\d+ of 1\d\d"))
    expect(line).to_contain_text("MB")
    expect(page.locator(".facts")).to_contain_text("parcel")
    expect(page.locator(".facts")).to_contain_text("default")


def test_queues_and_types_and_events_are_listed(stage: Stage, show: Open) -> None:
    """The other lists."""
    job = stage.ended("parcel", {"to": "Oslo", "weight": 2})
    page = show("#/queues")
    expect(page.get_by_role("table", name="Queues")).to_contain_text("nightly")
    page.goto(f"{stage.url}#/types/parcel")
    expect(page.get_by_role("region", name="Schema")).to_contain_text("Kilograms")
    page.goto(f"{stage.url}#/types")
    expect(page.get_by_role("table", name="Job types")).to_contain_text("hopeless")
    page.goto(f"{stage.url}#/events?kind=succeeded&text=parcel")
    expect(page.get_by_role("table", name="Events")).to_contain_text(job["id"][-12:])


def test_events_are_narrowed_to_each_kind_that_there_is(show: Open) -> None:
    """The page knows all of them."""
    page = show("#/events?kind=queue-paused")
    kinds = page.get_by_label("Kind")
    expect(kinds).to_have_value("queue-paused")
    offered = kinds.locator("option").evaluate_all("(all) => all.map(({ value }) => value)")
    assert sorted(offered) == sorted(["", *EventKind])


def test_a_schedule_tells_its_next_fires(stage: Stage, show: Open) -> None:
    """In the list, and by itself."""
    name = mark()
    stage.post("schedules", {"name": name, "cron": "0 3 * * *", "type": "note"})
    page = show("#/schedules")
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator(".times").first.locator("li")).to_have_count(5)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("#/jobs?label=no:such", "No job fits"),
        ("#/letters?type=no.such", "No dead letter fits"),
        ("#/workers?text=nobody-at-all", "No worker fits"),
        ("#/events?text=nothing-of-the-kind", "No event fits"),
        ("#/jobs/no-such-job", "There is no such job"),
        ("#/types/no.such", "There is no such type"),
        ("#/nowhere", "There is no such page"),
        ("#/schedules/no-such", "there is no schedule"),
    ],
)
def test_what_is_not_there_is_told_with_what_to_do(show: Open, view: str, said: str) -> None:
    """Empty lists and unknown names."""
    expect(show(view).get_by_role("main")).to_contain_text(said)


def test_keys_go_to_views_filter_move_and_close(stage: Stage, show: Open) -> None:
    """Everything works without a pointer."""
    job = stage.ended("note", labels={"mark": (label := mark())})
    page = show()
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.goto(f"{stage.url}#/jobs?label=mark:{label}")
    line = page.locator(f"tr[data-key='{job['id']}']")
    line.focus()
    page.keyboard.press(" ")
    expect(line.get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"#/jobs/{job['id']}"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_theme_is_chosen_and_kept(show: Open) -> None:
    """As the system says, light, dark."""
    page = show(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    expect(button).to_contain_text("dark")
    assert page.evaluate(ground) != light
    page.reload()
    expect(button).to_contain_text("dark")
    assert page.evaluate(ground) != light
