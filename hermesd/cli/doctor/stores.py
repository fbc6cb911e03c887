"""The store, whichever it is."""

from __future__ import annotations

from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, skipped
from hermesd.cli.doctor.patient import Patient
from hermesd.core.errors import ConfigError
from hermesd.stores.urls import POSTGRESQL
from hermesd.stores.version import HEAD, needs_upgrade

STORE = "store"
SCHEMA = "store schema"


def store(patient: Patient) -> Findings:
    """Whether it is there, of this version's schema, and fit to keep jobs."""
    if not patient.role.serves_api:
        return [skipped(STORE, "only an api opens it")]
    # Here, so that only the driver of the one that is named is loaded.
    if patient.config.store.url.startswith(POSTGRESQL):
        from hermesd.cli.doctor import server_store

        return server_store.examined(patient)
    from hermesd.cli.doctor import file_store

    return file_store.examined(patient)


def schema(found: str | None, *, migrate: bool) -> Finding:
    """How the schema version in the store, None for an empty one, stands to this program's."""
    try:
        older = needs_upgrade(found)
    except ConfigError as error:
        return fail(SCHEMA, "; ".join(error.problems), "install that version of hermesd again")
    if not older:
        return ok(SCHEMA, f"{found}, this version's")
    seen = f"{found or '(none)'}, this version has {HEAD}"
    if found is not None and not migrate:
        return fail(SCHEMA, seen, "hermesd db upgrade, or set store.migrate = true")
    return ok(SCHEMA, f"{seen}: an api brings it there when it starts")
