"""What real daemons show: right by Prometheus' own judge, and all that is asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scraping.daemons import Scraped
from scraping.dashboard import queries, variables

from hermesd.observe.described import (
    Described,
    api_metrics,
    process_metrics,
    worker_metrics,
)

pytestmark = pytest.mark.faults

ROLES: Final = {"api": api_metrics, "worker": worker_metrics}
# Panels that are empty before something has happened that did not happen here.
NEEDS_MORE: Final = frozenset(
    {
        "Alerts",
        "Deleted by retention",
        "Gone when they were to be given out",
        "Messages that were not run",
        "Outcomes not recorded",
        "Outcomes through the broker",
        "Pulling begun anew",
    }
)


@pytest.mark.parametrize("role", ROLES)
def test_promtool_finds_no_fault(scraped: Scraped, promtool: str, role: str) -> None:
    """Names, units, kinds and help, by the conventions of Prometheus."""
    text = getattr(scraped, role)
    judged = subprocess.run(
        [promtool, "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


@pytest.mark.parametrize(("role", "described"), ROLES.items())
def test_a_scrape_has_all_that_is_described(
    scraped: Scraped, role: str, described: Callable[[], Sequence[Described]]
) -> None:
    """And nothing else; kinds and labels are as described."""
    known = {each.name: each for each in (*described(), *process_metrics())}
    shown = {}
    for family in text_string_to_metric_families(getattr(scraped, role)):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        shown[name] = (family.type, labels or set(known[name].labels))
    assert shown == {name: (each.kind, set(each.labels)) for name, each in known.items()}


@pytest.mark.parametrize(
    ("sample", "least"),
    [
        ('hermesd_submits_total{queue="default",result="repeated",type="note"}', 1),
        ('hermesd_submit_refusals_total{reason="unknown-type"}', 1),
        ('hermesd_submit_seconds_count{kind="batch"}', 2),
        ('hermesd_jobs_settled_total{outcome="retry",queue="default",type="fragile"}', 1),
        ('hermesd_jobs_settled_total{outcome="fail",queue="default",type="hopeless"}', 1),
        ('hermesd_jobs_settled_total{outcome="cancel",queue="default",type="note"}', 1),
        ('hermesd_jobs_settled_total{outcome="snooze",queue="default",type="drowsy"}', 1),
        ('hermesd_submit_to_start_seconds_count{type="note"}', 20),
        ('hermesd_job_duration_seconds_count{type="note.process"}', 1),
        ('hermesd_dispatch_worker_seconds_count{worker="worker-1"}', 1),
        ("hermesd_store_commit_seconds_count", 10),
        ("hermesd_store_commit_changes_sum", 30),
        ("hermesd_store_serving", 1),
        ("hermesd_broker_serving", 1),
        ("hermesd_event_loop_lag_seconds_count", 1),
        ("hermesd_trio_tasks", 5),
        ('hermesd_worker_jobs_running{kind="async"}', 2),
        ('hermesd_worker_slots{kind="async"}', 2),
        ("hermesd_worker_child_processes", 1),
        ("hermesd_worker_apis_answering", 1),
        ("hermesd_worker_report_seconds_count", 1),
        ("hermesd_worker_broker_serving", 1),
        ("hermesd_worker_trio_tasks", 5),
    ],
)
def test_what_happened_is_counted(scraped: Scraped, sample: str, least: float) -> None:
    """Of what every deployment does."""
    text = scraped.worker if sample.startswith("hermesd_worker_") else scraped.api
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(sample)]
    assert values, text
    assert float(values[0]) >= least


def test_stats_have_percentiles_by_type(scraped: Scraped) -> None:
    """Of waits and runs, in seconds, in all and by type; types without jobs are left out."""
    recent = scraped.stats["recent"]
    assert set(recent["types"]) == {
        *("note", "note.thread", "note.process", "drowsy", "hopeless", "fragile"),
    }
    assert recent["window_seconds"] > 0
    fragile, note = recent["types"]["fragile"], recent["types"]["note"]
    assert (fragile["submitted"], fragile["started"]) == (1, 2)
    assert (fragile["retried"], fragile["succeeded"], fragile["failed"]) == (1, 1, 0)
    assert recent["types"]["hopeless"]["failed"] == 1
    assert recent["all"]["succeeded"] == sum(t["succeeded"] for t in recent["types"].values())
    for found in (note["wait"], note["run"], recent["all"]["wait"], recent["all"]["run"]):
        assert 0 < found["p50"] <= found["p95"] <= found["p99"] < 60
    # 24 of the 26 that ended slept for 10 ms.
    assert note["run"]["p50"] >= 0.01 * 0.97


def test_every_panel_shows_something(scraped: Scraped) -> None:
    """A real Prometheus has an answer to every query, but of what did not happen here."""
    found = list(queries())
    assert len(found) > 80
    empty = {query.panel for query in found if not scraped.series[query.expression]}
    assert empty <= NEEDS_MORE


def test_every_variable_has_values(scraped: Scraped) -> None:
    """For people to choose from."""
    assert {each.name for each in variables() if scraped.values[each.name]} == {
        *("job", "instance", "queue", "type"),
    }


def test_the_rules_are_evaluated_and_none_fires(scraped: Scraped) -> None:
    """By that Prometheus."""
    assert {rule["health"] for rule in scraped.rules} == {"ok"}
    assert [rule["name"] for rule in scraped.rules if rule.get("state") == "firing"] == []
