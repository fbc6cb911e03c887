"""What can happen while the form of a submit waits for its answer."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from dashboard.stage import Open, Stage


@pytest.fixture
def page(show: Open) -> Page:
    """A view from which jobs are submitted."""
    return show("#/types/parcel")


def hold(page: Page) -> list[Route]:
    """The submits of a page, from now on: none goes on by itself."""
    held: list[Route] = []
    page.route(
        "**/jobs",
        lambda route: held.append(route) if route.request.method == "POST" else route.fallback(),
    )
    return held


def test_an_edit_while_a_submit_is_under_way_makes_no_second_job(stage: Stage, page: Page) -> None:
    """Neither by the button nor by Enter; afterwards the form submits again."""
    word = uuid4().hex[:12]
    page.get_by_role("button", name="Submit one").click()
    dialog = page.get_by_role("dialog", name="Submit a job")
    submit = dialog.get_by_role("button", name="Submit and stay")
    dialog.get_by_label("to required").fill("Bergen")
    dialog.get_by_label("weight").fill("3")
    dialog.get_by_text("Options").click()
    dialog.get_by_label("Labels").fill(f"mark:{word}")
    held = hold(page)
    with page.expect_request(lambda request: request.method == "POST"):
        submit.click()
    dialog.get_by_label("to required").fill("Narvik")
    expect(submit).to_be_disabled()
    submit.evaluate("(button) => button.click()")
    dialog.locator("form").evaluate("(form) => form.requestSubmit()")
    [first] = held
    first.continue_()
    expect(dialog.get_by_role("status")).to_contain_text("is accepted")
    expect(submit).to_be_enabled()
    assert len(held) == 1
    query = {"label": f"mark:{word}"}
    [job] = stage.run(stage.client.http.get, "jobs", params=query).json()["jobs"]
    told = stage.run(stage.client.http.get, f"jobs/{job['id']}").json()["job"]
    assert told["payload"]["to"] == "Bergen"


def test_a_form_whose_json_was_broken_meanwhile_stays_shut_after_the_answer(page: Page) -> None:
    """The end of a request does not make it readable."""
    page.get_by_role("button", name="Submit one").click()
    dialog = page.get_by_role("dialog", name="Submit a job")
    submit = dialog.get_by_role("button", name="Submit", exact=True)
    held = hold(page)
    with page.expect_request(lambda request: request.method == "POST"):
        submit.click()
    raw = dialog.get_by_label("The same as JSON")
    raw.fill("{")
    [first] = held
    first.continue_()
    expect(dialog.locator("form > .wrong")).not_to_be_empty()
    expect(submit).to_be_disabled()
    raw.fill("{}")
    expect(submit).to_be_enabled()


def test_a_refusal_after_the_form_was_closed_is_told_by_a_notice(page: Page) -> None:
    """It says whose refusal it is."""
    page.get_by_role("button", name="Submit one").click()
    dialog = page.get_by_role("dialog", name="Submit a job")
    held = hold(page)
    with page.expect_request(lambda request: request.method == "POST"):
        dialog.get_by_role("button", name="Submit", exact=True).click()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    [first] = held
    first.continue_()
    expect(page.locator("#notices .bad")).to_contain_text("Submit a job: ")
