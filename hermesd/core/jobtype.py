"""What is known of a job type: how it runs, what it takes, and its defaults."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from hermesd.core.backoff import Backoff
from hermesd.core.errors import InvalidValue
from hermesd.core.job import Kind

CATCH_ALL: Final = "*"
_TYPE_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")
MAX_NAME_LENGTH: Final = 200


class TypeDefaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a submit of this type gets where it says nothing; None leaves it to the config."""

    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    backoff: Backoff | None = None
    crash_limit: int | None = None


class JobType(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue entry: a dotted, possibly versioned name (`email.send.v1`) or `*`.

    `schema` is the JSON Schema (2020-12) of the payload; an empty one takes anything. A worker
    that registers `*` runs every type that no other handler of its own has.
    """

    name: str
    kind: Kind
    schema: dict[str, Any] = {}
    defaults: TypeDefaults = TypeDefaults()
    description: str = ""


def check_type_name(name: str) -> str:
    """`name` if it is one; raises InvalidValue otherwise."""
    if len(name) > MAX_NAME_LENGTH or not _TYPE_NAME.match(name):
        raise InvalidValue(
            f"{name[:80]!r} is no job type: dotted words of letters, digits, '_' and '-', "
            f"at most {MAX_NAME_LENGTH} characters"
        )
    return name
