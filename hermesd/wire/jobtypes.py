"""Job types as a worker registers them: schema and defaults travel as JSON."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from hermesd.core.errors import InvalidValue
from hermesd.core.job import Kind, priority_of
from hermesd.core.jobtype import CATCH_ALL, JobType, TypeDefaults, check_type_name
from hermesd.wire.fields import MAX_TEXT_LENGTH, amount, bad, sendable, short_text
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

MAX_DESCRIPTION_LENGTH: Final = 4_000
MAX_COUNT: Final = 1_000_000
_NO_DEFAULTS: Final = TypeDefaults()

ShapeT = TypeVar("ShapeT")


def job_type_to_proto(job_type: JobType) -> pb.JobType:
    """An empty schema and defaults that say nothing are left out."""
    defaults = job_type.defaults
    return pb.JobType(
        name=job_type.name,
        kind=job_type.kind,
        schema_json=msgspec.json.encode(job_type.schema) if job_type.schema else b"",
        defaults_json=msgspec.json.encode(defaults) if defaults != _NO_DEFAULTS else b"",
        description=sendable(job_type.description),
    )


def job_type_from_proto(message: pb.JobType, field: str) -> JobType:
    """A type of the catalogue; that the schema is a JSON Schema is the catalogue's to check."""
    name = short_text(message.name, f"{field}.name")
    try:
        kind = Kind(message.kind)
        if name != CATCH_ALL:
            check_type_name(name)
    except ValueError as error:  # InvalidValue is one
        raise bad(field, f"is no job type: {error}") from None
    if len(message.description) > MAX_DESCRIPTION_LENGTH:
        raise bad(f"{field}.description", f"is over {MAX_DESCRIPTION_LENGTH} characters")
    return JobType(
        name=name,
        kind=kind,
        schema=_schema(message.schema_json, f"{field}.schema_json"),
        defaults=_defaults(message.defaults_json, f"{field}.defaults_json"),
        description=message.description,
    )


def _schema(text: bytes, field: str) -> dict[str, Any]:
    return _json(text, dict[str, Any], field) if text else {}


def _defaults(text: bytes, field: str) -> TypeDefaults:
    if not text:
        return _NO_DEFAULTS
    defaults = _json(text, TypeDefaults, field)
    if defaults.queue is not None:
        short_text(defaults.queue, f"{field}.queue")
    if defaults.priority is not None:
        try:
            priority_of(defaults.priority)
        except InvalidValue as error:
            raise bad(f"{field}.priority", f"is refused: {error.detail}") from None
    for name in ("max_attempts", "crash_limit"):
        count = getattr(defaults, name)
        if count is not None and not 1 <= count <= MAX_COUNT:
            raise bad(f"{field}.{name}", f"must be from 1 to {MAX_COUNT}, got {count}")
    if defaults.timeout is not None and amount(defaults.timeout, f"{field}.timeout") == 0:
        raise bad(f"{field}.timeout", "must be above 0")
    return defaults


def _json(text: bytes, shape: type[ShapeT], field: str) -> ShapeT:
    try:
        return msgspec.json.decode(text, type=shape)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise bad(field, f"is not as it should be: {str(error)[:MAX_TEXT_LENGTH]}") from None
