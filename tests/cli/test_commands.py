"""What each command sends and prints, in this process."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hermesd import __version__
from hermesd.cli.main import COMMANDS


def event(**members: Any) -> dict[str, Any]:
    """An event as the api shows it."""
    base = {"time": "2026-11-21T21:48:54.1Z", "job_id": "j1", "job_type": "email", "kind": "retry"}
    return {**base, "worker_id": None, "message": "", **members}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_says_of_a_command_what_the_command_says(name: str) -> None:
    """The table of the lazy group agrees with the commands themselves."""
    target, about = COMMANDS[name]
    module, _, attribute = target.partition(":")
    command = getattr(import_module(module), attribute)
    assert command.name == name
    assert command.get_short_help_str(200).rstrip(".") == about.rstrip(".")


def test_a_submit_prints_the_id_to_a_pipe(run: Any, api: Any, job: Any) -> None:
    """So that a script can take it."""
    api.json({"job": job(), "routed": "queue", "note": "no worker"}, 202)
    args = ["--queue", "q", "--priority", "high", "--max-attempts", "2", "--timeout", "9"]
    result = run("submit", "email", '{"to": "ada"}', *args, "--label", "a=b", "--label", "c=d=e")
    assert (result.stdout, result.exit_code) == ("j1\n", 0)
    assert api.requests[0].json == {
        "type": "email",
        "payload": {"to": "ada"},
        "queue": "q",
        "priority": "high",
        "max_attempts": 2,
        "timeout": 9.0,
        "labels": {"a": "b", "c": "d=e"},
    }


def test_a_payload_comes_from_the_argument_a_file_or_stdin(
    run: Any, api: Any, job: Any, tmp_path: Path
) -> None:
    """And reaches the api byte for byte."""
    file = tmp_path / "payload.json"
    file.write_text('{"n": 1.0}\n')
    for args, stdin in (('{"n": 1.0}', None), (f"@{file}", None), ("-", '{"n": 1.0}')):
        api.json({"job": job(), "routed": "queue"}, 202)
        assert run("submit", "email", args, stdin=stdin).exit_code == 0
        assert api.requests[-1].body == b'{"type":"email","payload":{"n": 1.0}}'


@pytest.mark.parametrize("payload", ["{", "", "NaN", "{'a': 1}", "1e400", '{"a": 1} x'])
def test_a_payload_that_is_not_json_is_bad_data(run: Any, payload: str) -> None:
    """Exit 65, and nothing is sent."""
    result = run("submit", "email", "-", stdin=payload)
    assert result.exit_code == 65
    assert result.stderr.startswith("hermesd: stdin: ")


def test_a_payload_that_is_not_utf8_is_bad_data(run: Any) -> None:
    """Exit 65."""
    assert run("submit", "email", "-", stdin=b'{"a": "\xff"}').exit_code == 65


def test_a_payload_file_that_is_not_there_is_no_input(run: Any) -> None:
    """Exit 66, with the name."""
    result = run("submit", "email", "@/no/such/file")
    assert result.exit_code == 66
    assert "/no/such/file" in result.stderr


def test_waiting_prints_the_result(run: Any, api: Any, job: Any) -> None:
    """The states on the way go to stderr, the result alone to stdout."""
    api.json({"job": job(), "routed": "queue", "note": "busy"}, 202)
    api.json({"job": job(state="running", worker_id="w1")})
    api.json({"job": job(state="succeeded", result={"n": 1})})
    result = run("submit", "email", "--wait")
    assert (result.stdout, result.exit_code) == ('{"n": 1}\n', 0)
    assert result.stderr.splitlines() == [
        "j1 accepted, queued: busy",
        "j1 running on w1",
        "j1 succeeded",
    ]


def test_waiting_for_a_job_that_fails_exits_with_1(run: Any, api: Any, job: Any) -> None:
    """And says why."""
    error = {"kind": "timeout", "message": "took too long"}
    api.json({"job": job(), "routed": "direct", "worker_id": "w"}, 202)
    api.json({"job": job(state="failed", error=error)})
    result = run("submit", "email", "--wait=5")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert "hermesd: job j1 failed: timeout: took too long" in result.stderr


def test_waiting_with_json_prints_the_job_whatever_its_end(run: Any, api: Any, job: Any) -> None:
    """The exit code tells a failure all the same."""
    api.json({"job": job(), "routed": "queue"}, 202)
    api.json({"job": job(state="cancelled")})
    result = run("submit", "email", "--wait=5", "--json")
    assert json.loads(result.stdout)["job"]["state"] == "cancelled"
    assert (result.stderr, result.exit_code) == ("", 1)


def test_waiting_in_vain_is_a_temporary_failure(run: Any, api: Any, job: Any) -> None:
    """Exit 75."""
    api.json({"job": job(), "routed": "queue"}, 202)
    api.json({"job": job()})
    result = run("submit", "email", "--wait=0")
    assert result.exit_code == 75
    assert "still queued" in result.stderr


def test_a_refusal_is_told_with_its_reasons(run: Any, api: Any) -> None:
    """Exit 1; with --json the problem's members are there for machines."""
    errors = [{"pointer": "/to", "reason": "is not an address"}]
    for _ in range(2):
        api.problem(422, "invalid-payload", "the payload does not fit", errors=errors)
    result = run("submit", "email", "{}")
    assert result.exit_code == 1
    assert "/to: is not an address" in result.stderr
    result = run("--json", "submit", "email", "{}")
    told = json.loads(result.stderr)["error"]
    assert (told["slug"], told["status"], told["errors"]) == ("invalid-payload", 422, errors)
    assert (told["exit_code"], result.exit_code, result.stdout) == (1, 1, "")


def test_a_lost_answer_hands_over_the_key(run: Any, api: Any) -> None:
    """The command gave up after its tries; the key makes another submit safe."""
    for _ in range(4):
        api.cut()
    result = run("submit", "email", "--idempotency-key", "k1")
    assert result.exit_code == 69
    assert "--idempotency-key k1" in result.stderr


@pytest.mark.parametrize(
    ("status", "slug", "code"),
    [
        (404, "not-found", 1),
        (403, "foreign-origin", 77),
        (500, "internal", 70),
        (503, "unavailable", 75),
        (429, "queue-full", 75),
        (504, "outcome-unknown", 75),
    ],
)
def test_a_problem_decides_the_exit_code(
    run: Any, api: Any, status: int, slug: str, code: int
) -> None:
    """By its group; a Retry-After beyond the patience keeps it from being tried again."""
    api.problem(status, slug, "why", retry_after="3600")
    result = run("jobs", "show", "j1")
    assert result.exit_code == code
    assert result.stderr.startswith("hermesd: ")
    assert "why" in result.stderr


def test_listing_jobs_sends_its_filters_and_prints_tabs(run: Any, api: Any, job: Any) -> None:
    """A heading, then one line a job."""
    api.json({"jobs": [job("a", worker_id="w"), job("b")], "next_cursor": "more"})
    filters = ["--state", "queued", "--state", "failed", "--label", "k=v", "--worker", "w"]
    result = run("jobs", "list", *filters, "--before", "2026-01-31T12:00:00Z", "--limit", "2")
    assert api.requests[0].query == [
        ("state", "queued"),
        ("state", "failed"),
        ("label", "k:v"),
        ("worker", "w"),
        ("before", "2026-01-31T12:00:00+00:00"),
        ("limit", "2"),
    ]
    heading, first, _ = result.stdout.splitlines()
    assert heading.split("\t")[:3] == ["ID", "TYPE", "STATE"]
    assert first.split("\t")[:7] == ["a", "email", "queued", "default", "3", "0/3", "w"]
    assert "--cursor more" in result.stderr


def test_a_long_listing_goes_over_pages(run: Any, api: Any, job: Any) -> None:
    """As many as asked for, in pages that the api grants."""
    api.json({"jobs": [job(f"a{n}") for n in range(500)], "next_cursor": "x"})
    api.json({"jobs": [job("b")], "next_cursor": None})
    result = run("jobs", "list", "--limit", "600", "--json")
    page = json.loads(result.stdout)
    assert (len(page["jobs"]), page["next_cursor"]) == (501, None)
    assert api.requests[1].query == [("cursor", "x"), ("limit", "100")]


def test_an_empty_listing_says_so_beside_the_output(run: Any, api: Any) -> None:
    """Stdout stays empty for scripts."""
    api.json({"jobs": [], "next_cursor": None})
    result = run("jobs", "list")
    assert (result.stdout, result.stderr) == ("", "no such jobs\n")


def test_an_age_is_a_moment(run: Any, api: Any) -> None:
    """`--after 2h` is a time two hours ago; nonsense is a usage error."""
    api.json({"jobs": [], "next_cursor": None})
    assert run("jobs", "list", "--after", "2h").exit_code == 0
    name, value = api.requests[0].query[0]
    assert name == "after"
    assert value.endswith("+00:00")
    assert run("jobs", "list", "--after", "yesterday").exit_code == 64


def test_showing_a_job_shows_its_times_with_their_age(run: Any, api: Any, job: Any) -> None:
    """And the payload as it was given."""
    error = {"kind": "error", "message": "boom", "traceback": "line 1\nline 2\n"}
    started, finished = "2026-11-21T21:48:55Z", "2026-11-21T21:48:57.5Z"
    view = job(state="failed", error=error, started_at=started, finished_at=finished)
    api.json({"job": view})
    members = dict(
        line.split("\t", 1)
        for line in run("jobs", "show", "j1").stdout.splitlines()
        if line[0] != "\t"
    )
    assert members["state"] == "failed"
    assert "ago)" in members["created"] or "(in " in members["created"]
    assert members["took"] == "2.5 s"
    assert members["error"] == "error: boom"
    assert members["payload"] == '{"to": "ada"}'


def test_what_a_job_says_cannot_steer_the_terminal(run: Any, api: Any, job: Any) -> None:
    """Escape sequences and tabs from a job are shown as escapes."""
    error = {"kind": "error", "message": "\x1b[2J\u202eevil\tmore"}
    api.json({"jobs": [job(state="failed", error=error)], "next_cursor": None})
    out = run("dlq", "list").stdout
    assert "\x1b" not in out
    assert "\\x1b[2J\\u202eevil\\tmore" in out


def test_cancelling_several_jobs_goes_on_after_a_refusal(run: Any, api: Any, job: Any) -> None:
    """Each is told; the exit code is the refusal's."""
    api.json({"job": job("a", state="running", cancel_requested=True)}, 202)
    api.problem(409, "illegal-move", "it has ended")
    api.problem(404, "not-found", "no such job")
    api.json({"job": job("c", state="cancelled")})
    result = run("jobs", "cancel", "a", "b", "x", "c")
    assert result.stdout == "a running (cancel requested)\nc cancelled\n"
    assert result.stderr == "hermesd: b: it has ended\nhermesd: x: no such job\n"
    assert result.exit_code == 1
    assert [each.path for each in api.requests] == ["/jobs/a", "/jobs/b", "/jobs/x", "/jobs/c"]


def test_retrying_with_json_gives_the_jobs(run: Any, api: Any, job: Any) -> None:
    """One object for all of them."""
    api.json({"job": job("a", run=2)}, 202)
    result = run("jobs", "retry", "a", "--json")
    assert [each["run"] for each in json.loads(result.stdout)["jobs"]] == [2]


def test_the_history_of_a_job_is_a_table(run: Any, api: Any) -> None:
    """Oldest first, as the api has it."""
    api.json({"count": 1, "events": [event(kind="submitted", message="hello")]})
    result = run("jobs", "events", "j1")
    assert result.stdout.splitlines()[1].split("\t")[1:] == [
        "submitted",
        "j1",
        "email",
        "",
        "hello",
    ]


def log_page(*texts: str, first: int = 1, dropped: int = 0) -> dict[str, Any]:
    """A page of a job's log, and its last."""
    lines = [
        {
            "number": first + place,
            "time": "2026-11-21T21:48:54.5Z",
            "run": 1,
            "attempt": 2,
            "level": "warning",
            "line": text,
        }
        for place, text in enumerate(texts)
    ]
    return {"lines": lines, "next_after": None, "dropped": dropped}


def test_the_log_of_a_job_is_lines(run: Any, api: Any, job: Any) -> None:
    """Time, run and attempt, level, text; how many are missing is told beside them."""
    api.json({"job": job(state="succeeded", logs_dropped=7)})
    api.json(log_page("one", "two\x1b[2J"))
    result = run("jobs", "logs", "j1")
    assert result.exit_code == 0
    assert result.stdout == (
        "21:48:54.500\t1.2\twarning\tone\n21:48:54.500\t1.2\twarning\ttwo\\x1b[2J\n"
    )
    assert "7 more lines" in result.stderr


def test_a_log_is_followed_to_the_end_of_the_run(run: Any, api: Any, job: Any) -> None:
    """Each look goes on behind the last line, and one comes after the end."""
    api.json({"job": job(state="running", logs_dropped=0)})
    api.json(log_page("one"))
    api.json({"job": job(state="running", logs_dropped=0)})
    api.json(log_page())
    api.json({"job": job(state="succeeded", logs_dropped=0)})
    api.json(log_page("two", first=2))
    result = run("jobs", "logs", "j1", "--follow", "--json")
    assert [json.loads(line)["line"] for line in result.stdout.splitlines()] == ["one", "two"]
    looks = [dict(each.query) for each in api.requests if each.path.endswith("/logs")]
    assert [look.get("after") for look in looks] == [None, "1", "1"]


def test_a_log_as_json_is_one_object(run: Any, api: Any, job: Any) -> None:
    """With all lines."""
    api.json({"job": job(state="running", logs_dropped=3)})
    api.json(log_page("one", "two"))
    told = json.loads(run("jobs", "logs", "j1", "--json").stdout)
    assert ([line["line"] for line in told["lines"]], told["dropped"]) == (["one", "two"], 3)


def test_an_api_without_logs_is_not_asked_for_them(run: Any, api: Any, job: Any) -> None:
    """One of an earlier release."""
    api.json({"job": job(state="succeeded")})
    result = run("jobs", "logs", "j1")
    assert (result.exit_code, result.stdout, len(api.requests)) == (0, "", 1)


def test_waiting_tells_progress_and_lines(run: Any, api: Any, job: Any) -> None:
    """Beside the result, as they come; what was told is not told again."""
    api.json({"job": job(), "routed": "queue"}, 202)
    told = {"logs_dropped": 0, "progress": 0.4, "progress_note": "resizing"}
    api.json({"job": job(state="running", worker_id="w1", **told)})
    api.json(log_page("begun"))
    told["progress"] = 1.0
    api.json({"job": job(state="succeeded", result=7, worker_id="w1", **told)})
    api.json(log_page("done", first=2))
    result = run("submit", "email", "--wait")
    assert result.stdout == "7\n"
    assert result.stderr.splitlines()[1:] == [
        "j1 running on w1",
        "j1 warning: begun",
        "j1 40% resizing",
        "j1 warning: done",
        "j1 100% resizing",
        "j1 succeeded",
    ]


def test_a_job_is_shown_with_its_progress(run: Any, api: Any, job: Any) -> None:
    """And how many lines of its log are not kept."""
    api.json({"job": job(state="running", progress=0.4, progress_note="reading", logs_dropped=5)})
    shown = dict(line.split("\t", 1) for line in run("jobs", "show", "j1").stdout.splitlines())
    assert (shown["progress"], shown["lines lost"]) == ("40% reading", "5")


def test_recent_events_can_be_narrowed(run: Any, api: Any) -> None:
    """By kind and job, at the api."""
    api.json({"count": 1, "events": [event()]})
    assert run("events", "--kind", "retry", "--job", "j1", "--limit", "5").exit_code == 0
    assert api.requests[0].query == [("limit", "5"), ("kind", "retry"), ("job_id", "j1")]


def test_the_dead_can_be_requeued_by_filter(run: Any, api: Any) -> None:
    """The filter reaches the api as one."""
    api.json({"matched": 3, "requeued": 2})
    result = run("dlq", "requeue", "--type", "email", "--error-kind", "timeout")
    assert result.stdout == "2 jobs requeued\n"
    assert api.requests[0].json == {"filter": {"type": "email", "error_kind": "timeout"}}


def test_a_dry_purge_only_counts(run: Any, api: Any) -> None:
    """And says so."""
    api.json({"matched": 1, "purged": 0})
    result = run("dlq", "purge", "--all", "--dry-run")
    assert result.stdout == "1 job would be deleted\n"
    assert api.requests[0].json == {"all": True, "dry_run": True}


def test_a_purge_without_a_terminal_does_not_ask(run: Any, api: Any) -> None:
    """A script has said what it wants."""
    api.json({"matched": 2, "purged": 2})
    result = run("dlq", "purge", "a", "b", "--json")
    assert json.loads(result.stdout) == {"matched": 2, "purged": 2, "skipped": 0}
    assert api.requests[0].json == {"ids": ["a", "b"]}


@pytest.mark.parametrize("args", [[], ["a", "--all"], ["--all", "--type", "x"]])
def test_a_purge_must_be_told_of_what(run: Any, args: list[str]) -> None:
    """Nothing, or two ways at once, is a usage error before anything is sent."""
    assert run("dlq", "purge", "--yes", *args).exit_code == 64


def test_the_fleet_is_shown(run: Any, api: Any) -> None:
    """Workers, types and counts, each in rows of its own."""
    worker = {"worker_id": "w", "slots": {"async": 4}, "free": {"async": 3}, "status": "busy"}
    api.json({"count": 1, "workers": [{**worker, "last_seen_unix": 1.0}]})
    row = run("workers").stdout.splitlines()[1].split("\t")
    assert row[:5] == ["w", "busy", "", "", "async 3/4"]
    kind = {"name": "email", "kind": "async", "workers": 2, "last_seen": "2026-11-21T21:48:54Z"}
    api.json({"count": 1, "types": [kind]})
    assert run("types").stdout.splitlines()[1].split("\t")[:3] == ["email", "async", "2"]
    api.json({"name": "hermesd", "version": "1", "uptime_seconds": 7300, "jobs": {"queued": 2}})
    out = run("stats").stdout
    assert "up for\t2 h 1 min" in out
    assert "jobs\tqueued 2" in out


def test_stats_tell_how_long_things_took_lately(run: Any, api: Any) -> None:
    """Percentiles until the start; nothing where nothing has ended, or of an older api."""
    wait = {"p50": 0.004, "p95": 0.25, "p99": 1.5}
    api.json({"recent": {"window_seconds": 300.0, "all": {"wait": wait, "run": None}}})
    lines = run("stats").stdout.splitlines()
    assert "lately, until start\tp50 0.004 s, p95 0.25 s, p99 1.5 s" in lines
    assert not [line for line in lines if line.startswith("lately, in handlers")]
    fleet = {"window_seconds": 300.0, "wait": {**wait, "p99": 3.0}}
    api.json({"recent": {"all": {"wait": wait}}, "recent_fleet": fleet})
    assert "lately, until start\tp50 0.004 s, p95 0.25 s, p99 3 s" in run("stats").stdout
    api.json({})
    assert "lately" not in run("stats").stdout


def test_stats_with_json_are_complete(run: Any, api: Any) -> None:
    """As the api says them."""
    api.json({"jobs": {"queued": 2}, "rung": "store"})
    answer = json.loads(run("stats", "--json").stdout)
    assert (answer["jobs"], answer["rung"]) == ({"queued": 2}, "store")


def test_the_version_is_told_in_both_ways(run: Any) -> None:
    """As a command and as an option."""
    assert run("version").stdout.startswith(f"hermesd {__version__} ")
    assert run("--version").stdout == f"hermesd {__version__}\n"
    assert json.loads(run("version", "--json").stdout)["version"] == __version__


def test_the_installed_plugins_are_listed(run: Any) -> None:
    """With what is wrong with them, for machines too."""
    assert run("plugins", "list").exit_code == 0
    listing = json.loads(run("plugins", "list", "--json").stdout)
    assert set(listing) == {"plugins", "problems"}


def test_the_schema_is_upgraded_and_told(run: Any) -> None:
    """Before, 1; after, 0; a second upgrade has nothing to do."""
    assert run("db", "status").exit_code == 1
    assert "upgraded to" in run("db", "upgrade").stdout
    assert "nothing to do" in run("db", "upgrade").stdout
    status = json.loads(run("db", "status", "--json").stdout)
    assert status["up_to_date"] is True


@pytest.mark.parametrize(
    "args", [["bogus"], ["jobs"], [], ["submit"], ["submit", "a", "--priority", "x"], ["--bogus"]]
)
def test_wrong_usage_exits_with_64(run: Any, args: list[str]) -> None:
    """And names what is wrong, or shows the help."""
    result = run(*args)
    assert result.exit_code == 64
    assert result.stderr


def test_wrong_usage_is_json_where_that_was_asked_for(run: Any) -> None:
    """Even where no command was reached."""
    told = json.loads(run("--json", "bogus").stderr)["error"]
    assert (told["slug"], told["exit_code"]) == ("usage", 64)


def test_a_bad_configuration_exits_with_78(run: Any, tmp_path: Path) -> None:
    """Every problem is a line; the way around it is one too."""
    path = tmp_path / "bad.toml"
    path.write_text("[api]\nprot = 1\n")
    result = run("-c", str(path), "stats", HERMES_URL="")
    assert result.exit_code == 78
    assert "prot" in result.stderr
    assert "--url" in result.stderr


def test_a_url_without_a_scheme_is_taken_as_http(run: Any, api: Any) -> None:
    """Host and port are enough."""
    api.json({"jobs": {}})
    assert run("--url", api.url.removeprefix("http://"), "stats").exit_code == 0


def test_a_url_that_is_none_is_wrong_usage(run: Any) -> None:
    """Exit 64."""
    assert run("--url", "ftp://x", "stats").exit_code == 64
