"""Orders to many jobs by command, and the groups of dead letters."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Callable
from typing import Any

import pytest

DONE = {"skipped": 0, "cursor": None, "held_back": False}
PATIENCE_SECONDS = 150.0


def changed(matched: int, changed: int, **more: Any) -> dict[str, Any]:
    """An answer of the api."""
    return {"matched": matched, "changed": changed, **DONE, **more}


def test_jobs_are_retried_by_filters(run: Any, api: Any) -> None:
    """Part by part, until there is no more."""
    api.json(changed(3, 2, skipped=1, cursor="x"))
    api.json(changed(4, 4))
    result = run(
        "jobs",
        "retry",
        *("--state", "failed", "--type", "a", "--type", "b", "--priority", "7"),
        *("--label", "tenant=t1", "--before", "2026-01-01T00:00:00Z", "--text", "no room"),
    )
    assert (result.exit_code, result.stdout) == (0, "6 jobs retried\n")
    assert result.stderr == "1 job had moved on meanwhile\n"
    wanted = {
        "state": ["failed"],
        "type": ["a", "b"],
        "priority": [7],
        "label": ["tenant:t1"],
        "before": "2026-01-01T00:00:00+00:00",
        "text": "no room",
    }
    assert [each.path for each in api.requests] == ["/jobs/retry"] * 2
    assert api.requests[0].json == {"filter": wanted}
    assert api.requests[1].json == {"filter": wanted, "cursor": "x"}


def test_all_jobs_are_cancelled_as_json(run: Any, api: Any) -> None:
    """One object, of the sums."""
    api.json(changed(1, 1, cursor="x"))
    api.json(changed(2, 2))
    result = run("jobs", "cancel", "--all", "--json")
    assert json.loads(result.stdout) == {"matched": 3, "changed": 3, "skipped": 0}
    assert api.requests[0].path == "/jobs/cancel"
    assert api.requests[0].json == {"all": True}


def test_a_dry_run_only_counts(run: Any, api: Any) -> None:
    """And says so."""
    api.json(changed(1, 0))
    result = run("jobs", "cancel", "--queue", "slow", "--dry-run")
    assert result.stdout == "1 job would be cancelled\n"
    assert api.requests[0].json == {"filter": {"queue": ["slow"]}, "dry_run": True}


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--all", "--type", "a"),
        ("a", "--all"),
        ("a", "--type", "b"),
        ("a", "--dry-run"),
        ("--priority", "11"),
    ],
)
def test_it_must_be_told_of_which(run: Any, args: tuple[str, ...]) -> None:
    """Nothing, or two ways at once, is a usage error before anything is sent."""
    for name in ("retry", "cancel"):
        assert run("jobs", name, "--yes", *args).exit_code == 64


def test_a_queue_that_is_full_is_waited_for(run: Any, api: Any, monkeypatch: Any) -> None:
    """What is held back is asked for again a moment later."""
    monkeypatch.setattr("hermesd.client.bulk.HELD_BACK_SECONDS", 0.001)
    api.json(changed(0, 0, cursor="x", held_back=True))
    api.json(changed(2, 2))
    assert run("jobs", "retry", "--all").stdout == "2 jobs retried\n"


@pytest.mark.parametrize(
    ("args", "done"),
    [(("jobs", "retry", "--all"), "changed"), (("dlq", "requeue", "--all"), "requeued")],
)
def test_a_queue_that_stays_full_is_not_waited_for_for_ever(
    run: Any, api: Any, monkeypatch: Any, args: tuple[str, ...], done: str
) -> None:
    """What was done is told, and that it is to be tried again."""
    monkeypatch.setattr("hermesd.client.bulk.HELD_BACK_SECONDS", 0.001)
    monkeypatch.setattr("hermesd.client.bulk.HELD_BACK_PARTS", 2)
    held = {"skipped": 0, "cursor": "x", "held_back": True}
    for number in (0, 3, 0, 0):
        api.json({"matched": number, done: number, **held})
    result = run(*args)
    assert result.exit_code == 75
    assert result.stdout.startswith("3 jobs re")
    assert "no room for the rest" in result.stderr


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", 0), (b"n\n", 1)])
@pytest.mark.parametrize(
    ("args", "question", "done"),
    [
        (("jobs", "retry", "--all"), "Retry 3 jobs?", {"changed": 3}),
        (("dlq", "requeue", "--error", ""), "Requeue 3 jobs?", {"requeued": 3}),
    ],
)
def test_on_a_terminal_it_asks_and_shows_how_far_it_is(
    command: Callable[..., Any],
    api: Any,
    answer: bytes,
    left: int,
    args: tuple[str, ...],
    question: str,
    done: dict[str, int],
) -> None:
    """With the count; a no changes nothing, and the exit code says so."""
    api.json({"matched": 3, **DONE})
    if not left:
        api.json({"matched": 3, **DONE, **done})
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    process = command(*args, stdin=theirs, stderr=theirs)
    os.close(theirs)
    told = b""
    while chunk := _read(ours):
        told += chunk
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(ours)
    assert question in told.decode()
    assert (process.returncode, bool(stdout)) == (left, not left)
    assert ("3/3" in told.decode()) == (not left)
    assert api.requests[0].json["dry_run"] is True
    assert len(api.requests) == 2 - left


def _read(terminal: int) -> bytes:
    """What comes next, empty where the other end is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_some_jobs_by_id_are_requeued_unasked(command: Callable[..., Any], api: Any) -> None:
    """Whoever names them knows them."""
    api.json({"matched": 1, "requeued": 1})
    ours, theirs = pty.openpty()
    process = command("dlq", "requeue", "a", stdin=theirs)
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, stdout) == (0, "1 job requeued\n")


def test_the_groups_of_the_dead_are_a_table(run: Any, api: Any) -> None:
    """Most jobs first, as the api has them; what is missing is told beside."""
    group = {
        "type": "email",
        "error_kind": "error",
        "error": "no room for # things\x1b",
        "count": 12,
        "newest": "2026-11-21T21:48:54.1Z",
        "oldest": "2026-11-20T21:48:54.1Z",
        "newest_id": "j9",
    }
    api.json({"groups": [group], "jobs": 12, "complete": False, "more_groups": 4})
    result = run("dlq", "groups", "--type", "email", "--limit", "1")
    row = result.stdout.splitlines()[1].split("\t")
    assert row[:4] == ["12", "email", "error", "no room for # things\\x1b"]
    assert row[-1] == "j9"
    assert "4 more groups" in result.stderr
    assert "newest 12 dead jobs" in result.stderr
    assert api.requests[0].query == [("type", "email"), ("limit", "1")]
    api.json({"groups": [group], "jobs": 12, "complete": True, "more_groups": 0})
    assert json.loads(run("dlq", "groups", "--json").stdout)["groups"][0]["count"] == 12


def test_a_list_goes_on_where_a_page_was_cut(run: Any, api: Any, job: Any) -> None:
    """An api ends a page early where it has looked at enough jobs."""
    cut = {"jobs": [], "next_cursor": "x", "searched_to": "2026-11-21T21:48:54.1Z"}
    api.json(cut)
    api.json({"jobs": [job("a")], "next_cursor": None, "searched_to": None})
    result = run("jobs", "list", "--text", "boom", "--finished-after", "2026-01-01T00:00:00Z")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()[1:]] == ["a"]
    query = dict(api.requests[1].query)
    assert query["finished_after"] == "2026-01-01T00:00:00+00:00"
    assert (query["text"], query["cursor"]) == ("boom", "x")
