"""The Grafana dashboard in packaging/, and what it asks Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = Path(__file__).parents[2] / "packaging" / "grafana" / "hermesd.json"
WINDOW: Final = "1m"
_LEGEND_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")


class Query(NamedTuple):
    """One query of a panel: its expression with all variables at All, and labels of its legend."""

    panel: str
    expression: str
    legend: frozenset[str]


class Variable(NamedTuple):
    """One variable that is read from the values of a label."""

    name: str
    series: str
    label: str


def load() -> dict[str, Any]:
    """The dashboard as it is imported into Grafana."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in load()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    """Of all panels, and of the annotations."""
    dashboard = load()
    for panel in panels():
        for target in panel["targets"]:
            legend = frozenset(_LEGEND_LABEL.findall(target["legendFormat"]))
            yield Query(panel["title"], filled(target["expr"]), legend)
    for annotation in dashboard["annotations"]["list"]:
        yield Query(annotation["name"], filled(annotation["expr"]), frozenset())


def variables() -> Iterator[Variable]:
    """Those that a query fills."""
    for each in load()["templating"]["list"]:
        if each["type"] == "query":
            found = _LABEL_VALUES.fullmatch(each["query"]["query"])
            assert found, each
            yield Variable(each["name"], filled(found["series"]), found["label"])


def filled(query: str) -> str:
    """A query as Grafana sends it while all of everything is chosen."""
    return re.sub(r"\$\w+", lambda found: VALUES[found.group()], query)


VALUES: Final = {
    "$__rate_interval": WINDOW,
    **{f"${name}": ".*" for name in ("job", "instance", "queue", "type")},
}
