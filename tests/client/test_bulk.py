"""Orders to many jobs, in all flavours of the client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hermesd.client import UnavailableError
from hermesd.client.dead import Part
from hermesd.core.errors import InvalidValue

DONE = {"skipped": 0, "cursor": None, "held_back": False}


def test_an_order_is_sent_part_by_part(ask: Any, api: Any) -> None:
    """With the cursor of the part before; the answer is the sum."""
    api.json({"matched": 2, "changed": 1, "skipped": 1, "cursor": "x", "held_back": False})
    api.json({"matched": 3, "changed": 3, **DONE})
    seen: list[Part] = []
    total = ask("retry_jobs", state="failed", worker="w", priority=(3, 7), on_part=seen.append)
    assert (total.matched, total.changed, total.skipped, total.cursor) == (5, 4, 1, None)
    assert [(part.matched, part.cursor) for part in seen] == [(2, "x"), (5, None)]
    wanted = {"state": "failed", "worker": "w", "priority": [3, 7]}
    assert [each.json for each in api.requests] == [
        {"filter": wanted},
        {"filter": wanted, "cursor": "x"},
    ]


@pytest.mark.parametrize(
    ("method", "path", "count"),
    [
        ("retry_jobs", "/jobs/retry", "changed"),
        ("cancel_jobs", "/jobs/cancel", "changed"),
        ("dlq_requeue", "/dlq/requeue", "requeued"),
        ("dlq_purge", "/dlq/purge", "purged"),
    ],
)
def test_every_order_has_its_path(ask: Any, api: Any, method: str, path: str, count: str) -> None:
    """And its own word for what was done; a moment is in the filter as RFC 3339."""
    api.json({"matched": 1, count: 1, **DONE})
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    answer = ask(method, finished_before=moment, label={"a": "b"}, error="")
    assert getattr(answer, count) == 1
    sent = {"finished_before": "2026-01-01T00:00:00+00:00", "label": ["a:b"], "error": ""}
    assert (api.requests[0].path, api.requests[0].json) == (path, {"filter": sent})


def test_an_order_says_which_jobs_one_way(ask: Any, api: Any) -> None:
    """Ids, a filter or all; anything else is refused before it is sent."""
    ids = {"ids": ["a"]}
    wrong: list[dict[str, Any]] = [
        {},
        ids | {"everything": True},
        ids | {"text": "x"},
        {"type": []},
        {"type": [], "queue": "x"},
        {"label": {}, "queue": "x"},
        {"ids": [], "queue": "x"},
    ]
    for bad in wrong:
        with pytest.raises(InvalidValue, match=r"exactly one|is empty, and would mean all"):
            ask("cancel_jobs", **bad)
    assert api.requests == []


def test_a_part_that_was_refused_is_sent_again(ask: Any, api: Any) -> None:
    """With its own cursor, and nothing is counted twice."""
    api.json({"matched": 1, "changed": 1, "skipped": 0, "cursor": "x", "held_back": False})
    api.problem(503, "store-unavailable", retry_after="0")
    api.json({"matched": 1, "changed": 1, **DONE})
    assert ask("cancel_jobs", everything=True).changed == 2
    assert [each.json.get("cursor") for each in api.requests] == [None, "x", "x"]
    api.problem(503, "store-unavailable", retry_after="3600")
    with pytest.raises(UnavailableError):
        ask("cancel_jobs", everything=True)


def test_the_groups_of_dead_letters_are_read(ask: Any, api: Any) -> None:
    """With what they can be narrowed by."""
    group = {"type": "t", "error_kind": "k", "error": "e #", "count": 2, "newest_id": "j"}
    times = {"newest": "2026-11-21T21:48:54Z", "oldest": "2026-11-21T21:48:53Z"}
    api.json({"groups": [group | times], "jobs": 2, "complete": True, "more_groups": 0})
    found = ask("dlq_groups", limit=5, queue=["a", "b"])
    assert [(each.error, each.count) for each in found.groups] == [("e #", 2)]
    assert api.requests[0].query == [("queue", "a"), ("queue", "b"), ("limit", "5")]
