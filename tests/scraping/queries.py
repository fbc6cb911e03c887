"""Which metrics and labels a PromQL expression names.

https://prometheus.io/docs/prometheus/latest/querying/basics/; what is written as `$name` are
variables of Grafana.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from hermesd.observe.described import Described

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'[^']*')
    |(?P<variable>\$\{?\w+(?::\w+)?\}?)
    |(?P<duration>\[[^\]]*\]|(?<![\w:])\d[\w.]*)
    |(?P<word>[A-Za-z_:][\w:]*)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])
    |(?P<space>\s+)
    """,
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


# What Prometheus itself gives every target.
TARGET: Final = frozenset({"job", "instance"})


class Named(NamedTuple):
    """A metric as a query selects it, and the names of labels in its braces."""

    metric: str
    labels: frozenset[str]


def named_in(query: str) -> tuple[list[Named], set[str]]:
    """The metrics of a query, and the labels that it groups or joins by."""
    tokens = list(_tokens(query))
    metrics: list[Named] = []
    grouped: set[str] = set()
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        place += 1
        if kind != "word" or text.lower() in _WORDS:
            continue
        if text in _GROUPING:
            if after == "(":
                inside, place = _inside(tokens, place, ")")
                grouped.update(inside)
        elif after == "{":
            inside, place = _inside(tokens, place, "}")
            metrics.append(Named(text, frozenset(inside)))
        elif after != "(" and after not in _GROUPING:
            metrics.append(Named(text, frozenset()))
    return metrics, grouped


def labels_of(described: Iterable[Described]) -> dict[str, set[str]]:
    """The labels of every series of these metrics, by its name."""
    found: dict[str, set[str]] = {}
    for each in described:
        labels = set(each.labels)
        if each.kind == "histogram":
            found[f"{each.name}_bucket"] = labels | {"le"}
        if each.kind in ("histogram", "summary"):
            found |= {f"{each.name}_count": labels, f"{each.name}_sum": labels}
        else:
            found[each.name] = labels
    return found


def assert_known(query: str, known: Mapping[str, set[str]]) -> set[str]:
    """That the metrics and labels of a query are there; answers all labels that it can use."""
    metrics, grouped = named_in(query)
    assert metrics, query
    usable = set(TARGET)
    for metric, labels in metrics:
        assert metric in known, (metric, query)
        assert labels <= known[metric] | TARGET, (metric, labels, query)
        usable |= known[metric]
    assert grouped <= usable, (grouped - usable, query)
    return usable


def _inside(tokens: list[tuple[str, str]], place: int, end: str) -> tuple[list[str], int]:
    """The words up to the closing sign, and the place behind it."""
    words = []
    while tokens[place][1] != end:
        if tokens[place][0] == "word":
            words.append(tokens[place][1])
        place += 1
    return words, place + 1


def _tokens(query: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(query):
        found = _TOKEN.match(query, place)
        assert found, f"not understood from here on: {query[place:]}"
        if found.lastgroup != "space":
            yield str(found.lastgroup), found.group()
        place = found.end()
