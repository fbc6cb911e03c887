"""A store in a PostgreSQL database, and the server under it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from hermesd.cli.doctor import stores
from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, warn
from hermesd.cli.doctor.patient import Patient
from hermesd.cli.doctor.stores import STORE
from hermesd.core.errors import HermesError
from hermesd.daemon.store import line_of
from hermesd.stores.postgres.connection import (
    OLDEST,
    READER_SETTINGS,
    BoundedConnection,
    open_connection,
    translated,
)
from hermesd.stores.version import VERSION_TABLE

WRITABLE = "store writable"
DURABLE = "store durability"
CONNECTIONS = "store connections"
CLOCK = "store clock"
ONE_API: Final = 10  # connections, about
SKEW_SECONDS: Final = 1.0
MAX_SKEW_SECONDS: Final = 60.0


def examined(patient: Patient) -> Findings:
    """The server, the schema, what may be written, how safely, and its clock."""
    section = patient.config.store
    line = line_of(section)
    assert line is not None, "it is a store of PostgreSQL"
    seconds = min(section.connect_timeout_seconds, patient.seconds)
    line = msgspec.structs.replace(line, connect_seconds=seconds)
    try:
        with (
            translated(),
            contextlib.closing(open_connection(line, "doctor", READER_SETTINGS)) as connection,
        ):
            return list(_looked(connection, migrate=section.migrate))
    except HermesError as error:
        remedy = "start the server, or set store.url and store.password_file right"
        return [fail(STORE, error.detail, f"{remedy}; then: hermesd db check")]


def _looked(connection: BoundedConnection, *, migrate: bool) -> Iterator[Finding]:
    yield _server(connection)
    exists = _one(connection, "SELECT to_regclass(%s) IS NOT NULL", VERSION_TABLE)
    version = _one(connection, f"SELECT version_num FROM {VERSION_TABLE}") if exists else None
    yield stores.schema(version, migrate=migrate)
    yield _writable(connection, has_tables=exists)
    yield _durable(connection)
    yield _connections(connection)
    yield _clock(connection)


def _one(connection: BoundedConnection, query: str, *values: object) -> Any:
    row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]


def _server(connection: BoundedConnection) -> Finding:
    begun = time.monotonic()
    told = _one(connection, "SELECT current_setting('server_version')")
    milliseconds = (time.monotonic() - begun) * 1000
    seen = f"PostgreSQL {told}, round trip {milliseconds:.1f} ms"
    if connection.info.server_version < OLDEST:
        return fail(STORE, seen, f"upgrade the server to {OLDEST // 10_000} or newer")
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        remedy = "make the database anew: createdb --encoding=UTF8 --template=template0"
        return fail(STORE, f"{seen}, encoding {encoding}", remedy)
    return ok(STORE, seen)


def _writable(connection: BoundedConnection, *, has_tables: bool) -> Finding:
    if _one(connection, "SELECT pg_is_in_recovery()"):
        remedy = "set store.url to the primary, or: target_session_attrs=read-write"
        return fail(WRITABLE, "the server is a standby: it takes no writes", remedy)
    user = _one(connection, "SELECT current_user")
    if not has_tables:
        schema = _one(connection, "SELECT current_schema()")
        may = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
        if schema is None or not _one(connection, may):
            seen = f"{user} cannot make tables in schema {schema or '(none)'}"
            return fail(WRITABLE, seen, f"GRANT CREATE ON SCHEMA {schema or 'public'} TO {user}")
        return ok(WRITABLE, f"{user} can make the tables")
    lacks = [
        right
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
        if not _one(connection, "SELECT has_table_privilege('jobs', %s)", right)
    ]
    if lacks:
        seen = f"{user} has no right to {', '.join(lacks)} in table jobs"
        remedy = f"let {user} own the tables: REASSIGN OWNED BY ... TO {user}"
        return fail(WRITABLE, seen, remedy)
    return ok(WRITABLE, f"{user} can change the jobs")


def _durable(connection: BoundedConnection) -> Finding:
    names = ("fsync", "synchronous_commit", "full_page_writes")
    settings = {name: _one(connection, "SELECT current_setting(%s)", name) for name in names}
    off = [name for name, value in settings.items() if value == "off"]
    told = ", ".join(f"{name} {value}" for name, value in settings.items())
    if off:
        remedy = f"switch on: {', '.join(off)} (ALTER SYSTEM, ALTER DATABASE or ALTER ROLE)"
        return warn(DURABLE, f"{told}: a crash of the server can lose accepted jobs", remedy)
    return ok(DURABLE, told)


def _connections(connection: BoundedConnection) -> Finding:
    most = int(_one(connection, "SELECT current_setting('max_connections')"))
    used = _one(connection, "SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL")
    seen = f"{used} in use of {most}; an api takes up to {ONE_API}"
    if most - used < ONE_API:
        remedy = "raise max_connections of the server, or close what else is connected"
        return warn(CONNECTIONS, seen, remedy)
    return ok(CONNECTIONS, seen)


def _clock(connection: BoundedConnection) -> Finding:
    """Leases go by the database's clock; dates in a log, and of `--at`, by this machine's."""
    before = time.time()
    theirs = float(_one(connection, "SELECT extract(epoch FROM clock_timestamp())"))
    skew = max(theirs - time.time(), before - theirs, 0.0)
    if skew <= SKEW_SECONDS:
        return ok(CLOCK, f"{skew * 1000:.0f} ms off that of the server")
    behind = "behind" if theirs > before else "ahead of"
    judge = fail if skew > MAX_SKEW_SECONDS else warn
    remedy = "let both machines keep time by NTP: timedatectl set-ntp true"
    return judge(CLOCK, f"{skew:.0f} s {behind} that of the server", remedy)
