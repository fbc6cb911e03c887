"""What happens elsewhere is seen without a reload, and what is ordered here is done."""

from __future__ import annotations

import re
from uuid import uuid4

from playwright.sync_api import Page, expect

from dashboard.stage import Open, Stage


def mark() -> str:
    """A word that no other test uses."""
    return uuid4().hex[:12]


def test_a_job_is_submitted_by_the_form_and_watched_until_its_end(stage: Stage, show: Open) -> None:
    """The form and the JSON beside it are one; the job's page follows it by itself."""
    page = show("#/types/teller")
    page.get_by_role("button", name="Submit one").click()
    dialog = page.get_by_role("dialog", name="Submit a job")
    dialog.get_by_label("Payload, as JSON").fill('{"steps": 3, "lines": 2, "waits": 1}')
    dialog.get_by_role("button", name="Submit", exact=True).click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("running")
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("line 1")
    stage.let_go()
    expect(heading).to_contain_text("succeeded")
    expect(page.locator(".progress")).to_contain_text("step 3")


def test_the_form_of_a_type_follows_its_schema_and_shows_refusals_at_their_fields(
    show: Open,
) -> None:
    """Fields of every kind, kept in step with the JSON in both directions."""
    page = show("#/types/parcel")
    page.get_by_role("button", name="Submit one").click()
    dialog = page.get_by_role("dialog", name="Submit a job")
    submit = dialog.get_by_role("button", name="Submit", exact=True)
    dialog.get_by_label("weight").fill("99")
    submit.click()
    expect(dialog.locator(".field", has=page.get_by_label("to"))).to_contain_text("required")
    expect(dialog.get_by_label("to", exact=False).first).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_label("weight")).to_have_attribute("aria-invalid", "true")
    expect(dialog.locator(".field", has=page.get_by_label("weight"))).to_contain_text("30")
    dialog.get_by_label("to required").fill("Bergen")
    dialog.get_by_label("weight").fill("3")
    dialog.get_by_label("kind").select_option("letter")
    dialog.get_by_label("fragile").select_option("true")
    dialog.get_by_role("button", name="Add to items").click()
    dialog.get_by_role("textbox", name="items 1").fill("tea")
    raw = dialog.get_by_label("The same as JSON")
    expect(raw).to_have_value(re.compile(r'"items": \[\s*"tea"\s*\]'))
    told = raw.input_value().replace('"Bergen"', '"Narvik"').replace("3", "4")
    raw.fill(told)
    expect(dialog.get_by_label("to required")).to_have_value("Narvik")
    raw.fill("{")
    expect(submit).to_be_disabled()
    raw.fill(told)
    submit.click()
    expect(dialog).to_have_count(0)
    payload = page.get_by_role("region", name="Payload")
    for part in ('"to": "Narvik"', '"weight": 4', '"kind": "letter"', '"fragile": true', '"tea"'):
        expect(payload).to_contain_text(part)


def test_options_of_a_submit_are_checked_at_their_fields(stage: Stage, show: Open) -> None:
    """Both by the page and by the api."""
    page = show()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Submit a job")
    dialog.get_by_label("Type", exact=True).select_option("note")
    dialog.get_by_text("Options").click()
    dialog.get_by_label("Attempts").fill("0")
    submit = dialog.get_by_role("button", name="Submit", exact=True)
    submit.click()
    expect(dialog.get_by_label("Attempts")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Attempts").fill("2")
    dialog.get_by_label("Start in, seconds").fill("3600")
    dialog.get_by_label("Labels").fill("mark: x")
    dialog.get_by_label("Priority").select_option("high")
    dialog.get_by_label("Queue").select_option("nightly")
    submit.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("scheduled")
    expect(page.locator(".facts")).to_contain_text("nightly")
    expect(page.locator(".facts")).to_contain_text("high")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")


def test_dead_letters_are_requeued_by_group_and_one_by_one_and_purged(
    stage: Stage, show: Open
) -> None:
    """A group is what has type and error in common."""
    word = mark()
    for _ in range(3):
        stage.ended("parrot", {"says": "x", "error": f"no {word}"}, labels={"mark": word})
    page = show("#/letters")
    groups = page.get_by_role("table", name="Groups of dead letters")
    group = groups.locator("tbody tr", has_text="parrot").filter(has_text="permanent").first
    group.get_by_role("link").first.click()
    expect(page.locator(".group")).to_be_visible()
    page.goto(f"{stage.url}#/letters?label=mark:{word}")
    lines = page.get_by_role("table", name="Failed jobs").locator("tbody tr")
    expect(lines).to_have_count(3)
    lines.first.get_by_role("checkbox").check()
    job_id = lines.first.get_attribute("data-key")
    page.get_by_role("button", name="Requeue", exact=True).last.click()
    confirm(page, "Requeue 1 job")
    expect(page.locator("#notices")).to_contain_text("1 requeued")
    assert stage.run(stage.client.ended, job_id)["run"] == 2
    expect(lines).to_have_count(3)
    page.get_by_role("button", name="Purge all that match").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("purge")
    confirm(page, "Purge 3 jobs")
    expect(lines).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text(["3 deleted"])


def test_a_whole_group_of_dead_letters_is_requeued(stage: Stage, show: Open) -> None:
    """Its jobs run again, and the page says so by itself."""
    jobs = [stage.ended("hopeless") for _ in range(2)]
    page = show("#/letters")
    group = page.get_by_role("table", name="Groups of dead letters").locator(
        "tbody tr", has_text="hopeless"
    )
    group.get_by_role("button", name="Requeue").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=re.compile("^Requeue")).click()
    expect(page.locator("#notices")).to_contain_text("requeued")
    for job in jobs:
        assert stage.run(stage.client.ended, job["id"])["run"] >= 2


def test_all_jobs_that_match_are_cancelled_and_those_selected(stage: Stage, show: Open) -> None:
    """Counted first, asked about, then done."""
    word = mark()
    for _ in range(3):
        stage.submit("note", labels={"mark": word}, delay=3600)
    page = show(f"#/jobs?label=mark:{word}")
    lines = page.get_by_role("table", name="Jobs").locator("tbody tr")
    lines.first.get_by_role("checkbox").check()
    stage.ended("note", labels={"mark": word})
    other = show(f"#/jobs?label=mark:{word}")
    expect(other.get_by_role("table", name="Jobs").locator("tbody tr")).to_have_count(4)
    expect(lines).to_have_count(3)
    page.get_by_role("button", name="Cancel", exact=True).click()
    confirm(page, "Cancel 1 job")
    expect(lines).to_have_count(4)
    expect(lines.filter(has_text="cancelled")).to_have_count(1)
    page.get_by_role("button", name="Cancel all that match").click()
    confirm(page, "Cancel 2 jobs")
    expect(lines.filter(has_text="cancelled")).to_have_count(3)


def test_a_killed_worker_is_shown_gone(stage: Stage, show: Open) -> None:
    """Nobody reloads anything."""
    doomed = stage.run(stage.deployment.worker, "bob")
    stage.run(stage.client.routable, "bob")
    page = show("#/workers")
    line = page.get_by_role("table", name="Workers").locator("tbody tr", has_text="bob")
    expect(line).to_contain_text(re.compile("idle|busy"))
    doomed.kill9()
    expect(line).to_contain_text("gone")
    page.goto(f"{stage.url}#/")
    expect(page.get_by_role("table", name="Notable events")).to_contain_text("bob")


def test_a_worker_is_paused_resumed_and_drained(stage: Stage, show: Open) -> None:
    """With the reason that was given."""
    leaving = stage.run(stage.deployment.worker, "eve")
    stage.run(stage.client.routable, "eve")
    page = show("#/workers?text=eve")
    line = page.get_by_role("table", name="Workers").locator("tbody tr", has_text="eve")
    line.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("new disk")
    confirm(page, "Pause")
    expect(line).to_contain_text("paused new disk")
    line.get_by_role("button", name="Resume").click()
    expect(line).to_contain_text("idle")
    line.get_by_role("button", name="Drain").click()
    confirm(page, "Drain")
    expect(line).to_contain_text(re.compile("draining|gone"))
    assert stage.run(leaving.wait) == 0
    expect(line).to_contain_text("gone")


def test_a_queue_is_paused_and_resumed_and_its_jobs_say_why_they_wait(
    stage: Stage, show: Open
) -> None:
    """Paused, or served by nobody."""
    job = show(f"#/jobs/{stage.submit('note', queue='nightly')}")
    expect(job.get_by_role("main")).to_contain_text("No worker serves its queue nightly")
    page = show("#/queues")
    line = page.get_by_role("table", name="Queues").locator("tbody tr", has_text="nightly")
    line.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("stocktaking")
    confirm(page, "Pause the queue")
    expect(line).to_contain_text("stocktaking")
    expect(job.get_by_role("main")).to_contain_text("Its queue nightly is paused: stocktaking")
    line.get_by_role("button", name="Resume").click()
    expect(line).not_to_contain_text("stocktaking")
    job.get_by_role("button", name="Submit another").click()
    expect(job.get_by_role("dialog").locator("select").first).to_have_value("note")


def test_a_schedule_is_triggered_paused_resumed_and_deleted(stage: Stage, show: Open) -> None:
    """Its page shows the new fire."""
    name = mark()
    stage.post("schedules", {"name": name, "cron": "0 3 * * *", "type": "note"})
    page = show(f"#/schedules/{name}")
    page.get_by_role("button", name="Trigger").click()
    expect(page.locator(".times").last).to_contain_text("triggered")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".facts")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".facts")).to_contain_text("fires")
    page.get_by_role("button", name="Delete").click()
    confirm(page, "Delete the schedule")
    expect(page.get_by_role("heading", name="Schedules")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text(name)


def test_events_come_as_they_happen_and_can_be_held(stage: Stage, show: Open) -> None:
    """A held log stands still until it is let go on."""
    page = show("#/events?kind=succeeded")
    table = page.get_by_role("table", name="Events")
    first = stage.ended("note")["id"][-12:]
    expect(table).to_contain_text(first)
    page.get_by_role("button", name="Hold").click()
    second = stage.ended("note")["id"][-12:]
    other = show("#/events?kind=succeeded")
    expect(other.get_by_role("table", name="Events")).to_contain_text(second)
    expect(table).not_to_contain_text(second)
    page.get_by_role("button", name="Go on").click()
    expect(table).to_contain_text(second)


def test_pages_say_that_they_are_stale_and_recover_when_the_api_is_back(
    stage: Stage, show: Open
) -> None:
    """The api is killed and started again at the same address; nobody reloads anything."""
    word = mark()
    pages = [show("#/"), show(f"#/jobs?label=mark:{word}")]
    for page in pages:
        expect(page.locator("#pulse")).to_have_class("pulse fresh")

    def stale() -> None:
        for page in pages:
            expect(page.get_by_text("Stale.")).to_be_visible()

    stage.restart_api(while_away=stale)
    for page in pages:
        expect(page.get_by_text("Stale.")).to_be_hidden()
        expect(page.locator("#notices")).to_contain_text("Connected again")
    job = stage.ended("note", labels={"mark": word})
    expect(pages[1].locator(f"tr[data-key='{job['id']}']")).to_contain_text("succeeded")
    expect(pages[0].locator(".tile", has_text="Workers").locator("b")).to_have_text("1")


def confirm(page: Page, verb: str) -> None:
    """Say yes in the dialog that asks."""
    page.get_by_role("dialog").get_by_role("button", name=verb, exact=True).click()
