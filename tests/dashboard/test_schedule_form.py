"""Schedules are made, changed and deleted by hand."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Route, expect

from dashboard.stage import Open, Stage

BEGUN = {"cron": "0 3 * * *", "type": "note"}
CHANGED = "30 4 * * *"


def being_changed(stage: Stage, show: Open) -> tuple[Locator, str]:
    """The form on a new schedule's page, with another cron filled in, and its name."""
    name = f"begun-{uuid4().hex[:12]}"
    stage.post("schedules", {"name": name, **BEGUN})
    page = show(f"#/schedules/{name}")
    page.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog", name=f"Change {name}")
    dialog.get_by_label("Cron").fill(CHANGED)
    return dialog, name


def consent(dialog: Locator, save: Locator) -> None:
    """Tick the box of the form, and send it."""
    dialog.get_by_role("checkbox").check()
    save.click()
    expect(dialog).to_have_count(0)


def test_a_schedule_is_made_changed_and_deleted_by_hand(stage: Stage, show: Open) -> None:
    """What is wrong with it is told at its fields."""
    name = f"made-{uuid4().hex[:12]}"
    page = show("#/schedules")
    page.get_by_role("button", name="New schedule").click()
    dialog = page.get_by_role("dialog", name="New schedule")
    dialog.get_by_label("Type", exact=True).select_option("parcel")
    make = dialog.get_by_role("button", name="Make the schedule")
    make.click()
    for label in ("Name", "Cron"):
        expect(dialog.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Name").fill("no name")
    dialog.get_by_label("Cron").fill("* *")
    make.click()
    expect(dialog.locator(".field", has=page.get_by_label("Name"))).to_contain_text("letters")
    dialog.get_by_label("Name").fill(name)
    make.click()
    cron = dialog.locator(".field", has=page.get_by_label("Cron"))
    expect(cron).to_contain_text("five are needed")
    dialog.get_by_label("Cron").fill("0 3 * * *")
    dialog.get_by_label("Time zone").fill("Europe/Nowhere")
    make.click()
    expect(dialog.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Time zone").fill("Europe/Berlin")
    make.click()
    expect(dialog.get_by_label("to required")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("to required").fill("Oslo")
    dialog.get_by_label("weight").fill("2")
    dialog.get_by_text("Options").click()
    dialog.get_by_label("While the last job lives").select_option("skip")
    dialog.get_by_label("Labels").fill("team: ops")
    make.click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("Europe/Berlin")
    expect(page.locator(".facts")).to_contain_text("skip")
    page.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog", name=f"Change {name}")
    expect(dialog.get_by_label("Labels")).to_have_value("team:ops")
    dialog.get_by_label("Cron").fill("30 4 * * *")
    dialog.get_by_role("button", name="Change the schedule").click()
    expect(page.locator(".facts")).to_contain_text("30 4 * * *")
    expect(page.get_by_role("region", name="Payload")).to_contain_text('"to": "Oslo"')
    told = stage.run(stage.client.http.get, f"schedules/{name}").json()["schedule"]
    assert (told["overlap"], told["labels"], told["revision"]) == ("skip", {"team": "ops"}, 2)
    page.get_by_role("link", name="All schedules").click()
    line = page.get_by_role("table", name="Schedules").locator("tbody tr", has_text=name)
    line.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the schedule").click()
    expect(line).to_have_count(0)


@pytest.mark.parametrize("fate", ["deleted", "changed"])
def test_what_others_did_to_a_schedule_meanwhile_is_undone_only_by_consent(
    stage: Stage, show: Open, fate: str
) -> None:
    """The form says what has happened, and sends nothing until its box is ticked."""
    dialog, name = being_changed(stage, show)
    http, path = stage.client.http, f"schedules/{name}"
    if fate == "deleted":
        done = stage.run(http.delete, path)
    else:
        done = stage.run(http.put, path, json=BEGUN | {"description": "theirs"})
    assert done.is_success, done.text
    theirs = stage.run(http.get, path)
    save = dialog.get_by_role("button", name="Change the schedule")
    for _ in range(2):
        save.click()
        expect(save).to_be_enabled()
        expect(dialog.get_by_role("status")).to_contain_text(f"{name} was {fate} meanwhile")
    kept = stage.run(http.get, path)
    assert kept.status_code == theirs.status_code == (404 if fate == "deleted" else 200)
    if fate == "changed":
        assert kept.json()["schedule"]["revision"] == 2
    consent(dialog, save)
    assert stage.run(http.get, path).json()["schedule"]["cron"] == CHANGED


def test_a_change_between_the_forms_last_look_and_its_own_is_not_overwritten(
    stage: Stage, show: Open
) -> None:
    """The api decides, so that there is no such moment."""
    dialog, name = being_changed(stage, show)
    http, path = stage.client.http, f"schedules/{name}"
    met: list[object] = []

    def meet(route: Route) -> None:
        if route.request.method == "PUT" and not met:
            met.append(stage.run(http.put, path, json=BEGUN | {"description": "theirs"}))
        route.continue_()

    dialog.page.route(f"**/{path}", meet)
    save = dialog.get_by_role("button", name="Change the schedule")
    save.click()
    expect(dialog.get_by_role("status")).to_contain_text(f"{name} was changed meanwhile")
    told = stage.run(http.get, path).json()["schedule"]
    assert (told["cron"], told["description"], len(met)) == (BEGUN["cron"], "theirs", 1)
    consent(dialog, save)
    assert stage.run(http.get, path).json()["schedule"]["cron"] == CHANGED


def test_a_schedule_that_was_only_paused_meanwhile_is_changed_and_stays_paused(
    stage: Stage, show: Open
) -> None:
    """Nobody's change would be lost."""
    dialog, name = being_changed(stage, show)
    stage.post(f"schedules/{name}/pause")
    dialog.get_by_role("button", name="Change the schedule").click()
    expect(dialog).to_have_count(0)
    told = stage.run(stage.client.http.get, f"schedules/{name}").json()["schedule"]
    assert (told["cron"], told["paused"]) == (CHANGED, True)
