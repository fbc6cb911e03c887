"""The Grafana dashboard asks for what there is, and for all of it (test_scrapes.py: really)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from scraping.dashboard import load, panels, queries, variables
from scraping.queries import TARGET, assert_known, labels_of, named_in

from hermesd.observe.described import api_metrics, process_metrics, worker_metrics

RULES: Final = Path(__file__).parents[2] / "packaging" / "prometheus" / "hermesd.rules.yml"
METRIC_NAME: Final = re.compile(r"hermesd_\w+")


def known() -> dict[str, set[str]]:
    """The labels of every series that a daemon can show, by its name."""
    return labels_of([*api_metrics(), *worker_metrics(), *process_metrics()])


def test_every_query_names_metrics_and_labels_that_there_are() -> None:
    """Its legend too."""
    for query in queries():
        if query.panel == "Alerts":  # asks for what Prometheus has of the rules
            continue
        usable = assert_known(query.expression, known())
        grouped = named_in(query.expression)[1]
        assert query.legend <= (grouped or usable), query


def test_every_variable_is_read_from_a_label_that_there_is() -> None:
    """Of each of its series."""
    found = list(variables())
    assert {each.name for each in found} == {"job", "instance", "queue", "type"}
    for each in found:
        names = METRIC_NAME.findall(each.series)
        assert names
        for metric in names:
            assert each.label in known()[metric] | TARGET, each


def test_every_metric_is_in_the_dashboard_or_in_a_rule() -> None:
    """What nobody looks at need not be counted."""
    looked_at = "".join(query.expression for query in queries()) + RULES.read_text(encoding="utf-8")
    described = [*api_metrics(), *worker_metrics()]
    assert [each.name for each in described if each.name not in looked_at] == []


def test_panels_stand_beside_each_other() -> None:
    """None lies over another, and each has an id and says what it shows."""
    places: dict[tuple[int, int], str] = {}
    for panel in load()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert places.setdefault((x, y), panel["title"]) == panel["title"]
    ids = [panel["id"] for panel in load()["panels"]]
    assert len(set(ids)) == len(ids)
    assert [panel["title"] for panel in panels() if not panel["description"]] == []
