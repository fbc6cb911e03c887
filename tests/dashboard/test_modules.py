"""The pure parts of the dashboard, called in the browser with what is hard to bring about."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from dashboard.stage import Open


@pytest.fixture
def page(show: Open) -> Page:
    """A view whose modules are called."""
    return show("#/nowhere")


def called(page: Page, module: str, expression: str, given: Any = None) -> Any:
    """What an expression over a module `m` and a value `v` gives."""
    script = f"async (v) => {{ const m = await import('/ui/{module}.js'); return {expression}; }}"
    return page.evaluate(script, given)


def test_spans_and_numbers_read_well(page: Page) -> None:
    """From microseconds to days, from bits to millions."""
    spans = [0, 0.00035, 0.0123, 0.99999, 3.4, 59.97, 61, 303, 7440, 90000, -5]
    assert called(page, "format", "v.map(m.span)", spans) == [
        *("0 s", "350 µs", "12.3 ms", "1 s", "3.4 s", "60 s"),
        *("1 min 1 s", "5 min 3 s", "2 h 4 min", "1 d 1 h", "-5 s"),
    ]
    assert called(page, "format", "v.map(m.compact)", [0, 0.25, 12.34, 999, 12_345, 2e6]) == [
        *("0", "0.25", "12.3", "999", "12.3k", "2M")
    ]
    assert called(page, "format", "v.map(m.bytes)", [512, 2048, 52_000_000]) == [
        *("512 B", "2 kB", "49.6 MB")
    ]


def test_axes_have_round_ticks_up_to_what_is_shown(page: Page) -> None:
    """Of values from 0, and of whole times in the viewer's zone."""
    assert called(page, "scale", "m.niceTicks(v)", 37) == [0, 10, 20, 30, 40]
    assert called(page, "scale", "m.niceTicks(v)", 0) == [0, 1]
    assert called(page, "scale", "m.niceTicks(v)", 0.0031)[-1] >= 0.0031
    assert called(page, "scale", "m.spanTicks(v)", 80) == [0, 30, 60, 90]
    assert called(page, "format", "v.map(m.shortSpan)", [0.25, 90, 5400]) == [
        *("250 ms", "1.5 min", "1.5 h")
    ]
    ticks = called(page, "scale", "m.timeTicks(v, v + 86400, 8)", 1_790_000_000)
    assert 4 <= len(ticks) <= 9
    assert called(page, "format", "v.map((each) => m.clock(each, true))", ticks)[0].endswith(":00")


def test_lines_and_areas_break_where_nothing_is_known(page: Page) -> None:
    """A gap is neither a zero nor a straight line."""
    points = [[0, 1], [1, 2], None, [3, 4]]
    assert called(page, "scale", "m.linePath(v)", points) == "M0.0 1.0L1.0 2.0M3.0 4.0m-1.5 0h3"
    path = called(page, "scale", "m.areaPath(v, v.map((each) => each && [each[0], 9]))", points)
    assert path.count("Z") == 2
    stacked = called(page, "scale", "m.stack(v, 2)", [[1, None], [2, 3]])
    assert stacked[0]["upper"] == [1, None]
    assert stacked[1]["upper"] == [3, 3]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["string", "null"]}, "string"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number"),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, "json"),
        ({"const": 7}, "choice"),
        ({"enum": ["a", None]}, "choice"),
        ({"$ref": "#/$defs/a~1b"}, "boolean"),
        ({"$ref": "#/$defs/self"}, "json"),
        ({"$ref": "https://example.org/other"}, "json"),
        ({"allOf": [{"$ref": "#/$defs/a~1b"}], "description": "x"}, "boolean"),
        ({"type": "object"}, "json"),
        ({"properties": {"x": {}}}, "object"),
        ({"type": "array", "items": {"type": "string"}}, "array"),
        ({"type": "array"}, "json"),
        (True, "json"),
        ({}, "json"),
    ],
)
def test_a_form_asks_for_what_a_schema_says_as_far_as_it_can(
    page: Page, schema: Any, kind: str
) -> None:
    """And for JSON where it cannot; a schema that refers to itself comes to an end."""
    root = {"$defs": {"a/b": {"type": "boolean"}, "self": {"$ref": "#/$defs/self"}}}
    expression = "m.question(v.schema, v.root).kind"
    assert called(page, "schema", expression, {"schema": schema, "root": root}) == kind


def test_a_schema_without_an_end_gives_a_form_that_has_one(page: Page) -> None:
    """A tree of trees is asked for by JSON from some depth on."""
    node = {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}}}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    expression = "new m.SchemaForm(v, () => 0).element.querySelectorAll('fieldset, .field').length"
    assert 1 < called(page, "schema_form", expression, schema) < 20


def test_a_form_keeps_what_it_does_not_know(page: Page) -> None:
    """Members that the schema does not name stay, and nothing is made up."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "array"}}}
    value = {"a": 5, "more": {"x": [1]}}
    made = "const f = new m.SchemaForm(v[0], () => 0); f.write(v[1]); return f.read();"
    expression = f"(() => {{ {made} }})()"
    assert called(page, "schema_form", expression, [schema, value]) == value
    assert called(page, "schema_form", expression, [schema, {}]) == {}


def test_refusals_without_a_pointer_find_their_option(page: Page) -> None:
    """By the words that the api's sentence begins with."""
    told = [
        *("max_attempts must be from 1", "an idempotency key has 1", "label 'x': too long"),
        *("cron: '* *' has 2 fields", "no"),
    ]
    names = ["max_attempts", "idempotency_key", "labels", "cron"]
    expression = "v[0].map((text) => m.namedBy(text, v[1]))"
    assert called(page, "form_fields", expression, [told, names]) == [*names, ""]


def test_fields_read_back_what_they_were_given(page: Page) -> None:
    """Also what a field cannot show in full, as long as nobody changes it."""
    fields = [
        {"name": "priority", "kind": "choice", "choices": [["", "none"], ["high", "high"]]},
        *({"name": "labels", "kind": "labels"}, {"name": "at", "kind": "time"}),
        *({"name": "delay", "kind": "number"}, {"name": "queue", "must": True}),
    ]
    given = {"priority": 5, "labels": {"note": "a, b: c"}, "at": "2026-11-22T12:00:00.5Z"}
    made = "const f = new m.FormFields(v[0]); f.write(v[1]); return f.read();"
    found = called(page, "form_fields", f"(() => {{ {made} }})()", [fields, given])
    assert found["values"] == given
    assert [each["pointer"] for each in found["wrong"]] == ["/queue"]
    assert called(page, "format", "v.map(m.isoOf)", ["12345-01-01T00:00", "x", "2026-01-01"]) == [
        *(None, None, "2026-01-01T00:00:00.000Z")
    ]


def test_a_layer_without_height_hides_no_other(page: Page) -> None:
    """The edge of a stacked area is drawn where it is above the one below."""
    series = [{"name": name, "label": name, "tone": name} for name in ("low", "top")]
    columns = {"low": [0, 2, 2, 2], "top": [0, 0, 0, 3]}
    made = (
        "const c = new m.Chart({title: 'x', series: v[0], format: String, stacked: true, "
        "signal: new AbortController().signal}); c.update([0, 5, 10, 15], v[1]); "
        "return [...c.element.querySelectorAll('path.line')].map((p) => "
        "(p.getAttribute('d').match(/[ML]/g) ?? []).length);"
    )
    found = called(page, "chart", f"(() => {{ {made} }})()", [series, columns])
    assert found == [4, 2]
