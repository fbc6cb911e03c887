"""What a changed configuration comes to: it is taken over, or named for a restart."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

import hermesd
from hermesd.config import Config
from hermesd.config.keys import Key, dotted, entry_type, field_types, struct_of
from hermesd.config.live import Live
from hermesd.config.reload import RELOADABLE, RESTART, compare, declared_of
from hermesd.config.template import template
from hermesd.core.errors import ConfigError

ROOT = Path(hermesd.__file__).parent
TESTS = Path(__file__).parents[1]
HEADER = re.compile(r"\[(?P<section>[a-z._]+)\](?P<restart>  # restart)?")
ENTRY = re.compile(r"#(?P<name>[a-z_]+) = .*?(?P<restart>  # restart)?")


def configured(text: str) -> Config:
    """The configuration of a TOML text."""
    return msgspec.convert(tomllib.loads(text), Config)


def keys_of(struct: type[msgspec.Struct], key: Key = ()) -> Iterator[Key]:
    """Every key of the structs; a table with free keys is one."""
    for name, kind in field_types(struct).items():
        inner = struct_of(kind)
        if inner is not None and entry_type(kind) is None:
            yield from keys_of(inner, (*key, name))
        else:
            yield (*key, name)


def test_every_key_is_either_reloadable_or_needs_a_restart() -> None:
    """A new key must say which: put it into one table of config/reload.py, and prove it."""
    keys = {declared_of(key) for key in keys_of(Config)}
    assert keys == RELOADABLE | RESTART
    assert not RELOADABLE & RESTART


def test_the_commented_file_marks_what_needs_a_restart() -> None:
    """A section, or a key by itself."""
    section, whole = "", False
    marked: dict[Key, bool] = {}
    for line in template().decode().splitlines():
        if found := HEADER.fullmatch(line):
            section, whole = found["section"], found["restart"] is not None
        elif found := ENTRY.fullmatch(line):
            key = (*section.split("."), found["name"])
            marked[key] = whole or found["restart"] is not None
    assert len(marked) > 100
    assert marked == {key: declared_of(key) in RESTART for key in marked}


def test_nothing_changed() -> None:
    """Then nothing is to be done."""
    found = compare(Config(), Config())
    assert (found.config, found.changed, found.restart) == (Config(), (), ())


def test_a_reloadable_key_is_taken_over_and_another_one_is_named() -> None:
    """In one and the same file."""
    new = configured(
        '[api]\nmax_waiting_jobs = 5\nport = 9\n[log]\nlevel = "debug"\nformat = "json"'
    )
    found = compare(Config(), new)
    assert found.changed == ("api.max_waiting_jobs", "log.level")
    assert found.restart == ("api.port", "log.format")
    assert found.config == configured('[api]\nmax_waiting_jobs = 5\n[log]\nlevel = "debug"')


def test_what_needs_a_restart_is_named_until_there_was_one() -> None:
    """At every reload, since the daemon still acts by the old value."""
    new = configured("[api]\nport = 9")
    first = compare(Config(), new)
    assert compare(first.config, new).restart == ("api.port",)


def test_entries_of_tables_are_named_one_by_one() -> None:
    """Those that came, those that went and those that changed."""
    old = configured(
        '[queues.mail]\n[queues.old]\n[jobs.types.a]\ntimeout = 1.0\n[worker.labels]\nzone = "a"'
    )
    new = configured(
        "[queues.mail]\nmax_waiting = 3\n[queues.new]\n[jobs.types.a]\ntimeout = 2.0\n"
        "[plugins.settings.mail]\nport = 1"
    )
    found = compare(old, new)
    assert found.changed == (
        "jobs.types.a",
        "queues.mail",
        "queues.new",
        "queues.old",
        "worker.labels.zone",
    )
    assert found.restart == ("plugins.settings.mail",)
    assert set(found.config.queues) == {"default", "mail", "new"}


def test_of_a_url_the_password_alone_is_taken_over() -> None:
    """Where all else is as it was; its file goes with it."""
    old = configured(
        '[store]\nurl = "postgresql://me:old@db/x"\npassword_file = "a"\n'
        '[queue]\nurl = "amqp://me:a@mq"\npassword_file = "c"'
    )
    new = configured(
        '[store]\nurl = "postgresql://me:new@db/x"\npassword_file = "b"\n'
        '[queue]\nurl = "amqp://me:b@other"\npassword_file = "d"'
    )
    found = compare(old, new)
    assert found.changed == ("store.password_file", "store.url")
    assert found.restart == ("queue.password_file", "queue.url")
    assert (found.config.store, found.config.queue) == (new.store, old.queue)


def test_tls_is_switched_on_and_off_by_a_restart_and_its_files_are_changed_without() -> None:
    """A port cannot speak both."""
    plain = Config()
    first = configured('[api]\ntls_cert_file = "/a"\ntls_key_file = "/b"')
    second = configured('[api]\ntls_cert_file = "/c"\ntls_key_file = "/b"')
    assert compare(first, second).changed == ("api.tls_cert_file",)
    assert compare(first, second).config == second
    for old, new in ((plain, first), (first, plain)):
        found = compare(old, new)
        assert found.restart == ("api.tls_cert_file", "api.tls_key_file")
        assert found.config == old


def test_what_does_not_go_together_before_a_restart_is_refused() -> None:
    """Larger payloads need larger messages, and those a restart."""
    broker = '[queue]\nkind = "amqp"\nurl = "amqp://mq"\nmax_message_bytes = '
    old = configured(broker + "2000000")
    new = configured("[api]\nmax_payload_bytes = 4000000\n" + broker + "8000000")
    with pytest.raises(ConfigError) as refusal:
        compare(old, new)
    reason, remedy = refusal.value.problems
    assert reason.startswith("queue.max_message_bytes: must be at least 65536 more than")
    assert remedy == "it would hold with queue.max_message_bytes: that takes a restart"


def changes() -> Iterator[tuple[Key, Any]]:
    """Another value for each field of each section that is a plain one."""
    for section in field_types(Config):
        value = getattr(Config(), section)
        if isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                before = getattr(value, name)
                if isinstance(before, bool):
                    yield (section, name), not before
                elif isinstance(before, int | float):
                    yield (section, name), before + 1


@pytest.mark.parametrize(("key", "value"), list(changes()), ids=str)
def test_every_single_key_goes_where_its_table_says(key: Key, value: Any) -> None:
    """Taken over, or left as it was and named."""
    section, name = key
    changed = msgspec.structs.replace(getattr(Config(), section), **{name: value})
    new = msgspec.structs.replace(Config(), **{section: changed})
    found = compare(Config(), new)
    taken = key in RELOADABLE
    assert (found.changed, found.restart) == (
        ((dotted(key),), ()) if taken else ((), (dotted(key),))
    )
    assert found.config == (new if taken else Config())


# The test that sees each reloadable key change a daemon, or an agent of one, while it runs.
PROOFS = {
    "api/test_reload.py::test_a_limit_holds_from_the_next_submit_on": "api.max_payload_bytes"
    " api.max_scheduled_jobs api.max_waiting_jobs jobs.max_delay_seconds jobs.max_label_bytes"
    " jobs.max_labels jobs.max_timeout_seconds queues",
    "api/test_reload.py::test_the_size_of_a_batch": "api.max_batch_items",
    "api/test_reload.py::test_submits_that_wait_for_their_commit": "api.max_pending_submits",
    "api/test_reload.py::test_foreign_origins": "api.allowed_origins",
    "api/test_reload.py::test_what_a_job_gets_where_nothing_is_said": "jobs.backoff"
    " jobs.crash_limit jobs.max_attempts jobs.timeout_seconds jobs.types",
    "api/test_reload.py::test_how_long_a_key_is_kept": "jobs.idempotency_ttl_seconds",
    "api/test_reload.py::test_events_that_are_kept_and_their_readers": "events.max_streams"
    " events.ring",
    "api/test_reload.py::test_schedules": "schedules",
    "api/test_reload.py::test_metrics_are_switched_off_and_on": "metrics.enabled",
    "agents/test_reload.py::test_how_long_an_answer_waits": "api.dispatch_wait_seconds",
    "agents/test_reload.py::test_how_much_later_than_its_time_a_job_is_overruled": "worker"
    ".timeout_grace_seconds",
    "agents/test_reload.py::test_how_long_jobs_are_kept": "retention.cancelled_seconds"
    " retention.failed_seconds retention.max_finished retention.succeeded_seconds retention.types",
    "agents/test_reload.py::test_how_often_is_looked_and_whether_at_all": "retention.enabled"
    " retention.interval_seconds",
    "agents/test_reload.py::test_how_many_are_deleted_at_a_time": "retention.batch",
    "agents/test_reload.py::test_what_a_worker_offers": "worker.async_slots worker.labels"
    " worker.process_slots worker.queues worker.thread_slots",
    "agents/test_reload.py::test_outcomes_that_nobody_took_stop_a_worker": "worker.max_unreported",
    "agents/test_reload.py::test_how_long_a_drain_takes": "drain.report_seconds drain.seconds",
    "agents/test_reload.py::test_the_line_on_the_fleet": "log.fleet_seconds",
    "agents/test_reload.py::test_how_many_lines_on_jobs_are_written": "log.jobs_per_second",
    "worker/test_processes.py::test_children_are_replaced_by_the_limit_of_now": "worker"
    ".max_jobs_per_child",
    "processes/test_reload.py::test_threads_that_do_not_end_are_counted_anew": "worker"
    ".max_lost_threads",
    "processes/test_reload.py::test_a_renewed_certificate_is_served_to_new_connections": "api"
    ".tls_cert_file api.tls_key_file",
    "processes/test_reload.py::test_a_worker_takes_up_with_an_api_that_is_added": "control"
    ".endpoints",
    "processes/test_reload.py::test_each_kind_of_key_is_changed_live_under_load": "log.jobs"
    " log.level",
    "processes/test_postgresql.py::test_a_new_password_is_used_after_a_reload": "store"
    ".password_file",
    "processes/test_amqp.py::test_a_new_password_is_used_after_a_reload": "queue.password_file",
    "http/test_limits.py::test_changed_limits_hold_for_new_connections": "http.max_body_bytes"
    " http.max_connections http.max_header_bytes http.max_headers http.max_pipelined"
    " http.max_target_bytes",
    "http/test_limits.py::test_changed_times_hold_for_new_connections": "http.body_seconds"
    " http.header_seconds http.idle_seconds http.write_seconds",
}


def test_every_reloadable_key_has_its_proof() -> None:
    """One test, which there is."""
    proven = [key for keys in PROOFS.values() for key in keys.split()]
    assert sorted(proven) == sorted(".".join(key) for key in RELOADABLE)
    for proof in PROOFS:
        path, _, name = proof.partition("::")
        assert f"async def {name}(" in (TESTS / path).read_text(), proof


# Constructors that read a reloadable key on purpose, and who follows its changes instead.
FOLLOWED = {
    ("api/admission.py", "jobs"): "Admission._terms_of",
    ("api/retain.py", "retention"): "Retainer._follow",
    ("api/follow.py", "schedules"): "api Follower",
    ("api/follow.py", "events"): "api Follower",
    ("worker/pull.py", "worker.queues"): "worker Follower",
}


def test_no_constructor_copies_a_reloadable_key() -> None:
    """What is copied as an object is made does not follow a reload."""
    names = {".".join(key) for key in RELOADABLE} | {key[0] for key in RELOADABLE}
    found = {
        (path.relative_to(ROOT).as_posix(), key)
        for path in [*(ROOT / "api").rglob("*.py"), *(ROOT / "worker").rglob("*.py")]
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        for key in keys_read(function) & names
    }
    assert found == set(FOLLOWED)


def keys_read(function: ast.FunctionDef) -> set[str]:
    """The dotted keys that are read of some `config`; of a key not also its section."""
    reads = {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    whole = {read for read in reads if not any(other.startswith(f"{read}.") for other in reads)}
    return {read.rpartition("config.")[2] for read in whole if "config." in read}


async def test_whoever_waits_for_a_value_hears_of_it() -> None:
    """At once where it is so already."""
    live = Live(Config())
    await live.until(lambda config: config.log.fleet_seconds == 60)
    heard = trio.Event()

    async def hear() -> None:
        await live.until(lambda config: config.log.fleet_seconds == 7)
        heard.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        await trio.testing.wait_all_tasks_blocked()
        live.reconfigure(configured("[log]\nfleet_seconds = 8"))
        await trio.testing.wait_all_tasks_blocked()
        assert not heard.is_set()
        live.reconfigure(configured("[log]\nfleet_seconds = 7"))


async def test_a_rest_is_as_long_as_the_configuration_says_by_now(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Counted from where it began: shorter or longer than it was to be, or over at once."""
    live = Live(Config())
    for seconds, expected in ((20, 20), (90, 90), (3, 10)):
        live.reconfigure(Config())
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live.rest, lambda config: config.log.fleet_seconds)
            await trio.sleep(10)
            live.reconfigure(configured(f"[log]\nfleet_seconds = {seconds}"))
        assert trio.current_time() - begun == pytest.approx(expected)
