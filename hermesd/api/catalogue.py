"""The job types that this api knows, their defaults, and the check of payloads against them.

The catalogue is in the store and grows by every Register and by the plugins installed beside the
api (invariant 5). Validators are compiled once per schema; a schema can refer to itself and to
nothing else, since nothing is ever fetched for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import (
    InvalidPayload,
    InvalidValue,
    MalformedJson,
    OutcomeUnknown,
    Unavailable,
    UnknownType,
    Unstorable,
)
from hermesd.core.jobtype import CATCH_ALL, JobType, check_type_name
from hermesd.core.records import KnownType
from hermesd.ports import Clock, TypeCatalogue

INSTALLED: Final = "api"
RENEW_SECONDS: Final = 60.0
MAX_ERRORS: Final = 20
MAX_REASON_CHARS: Final = 200
# What every JSON parser down the line surely takes; worker stacks are deeper than ours.
MAX_NESTING: Final = 128


class _Entry(msgspec.Struct):
    """A known type, its compiled schema, and when the store was last told of it (UTC)."""

    known: KnownType
    validator: jsonschema_rs.Draft202012Validator
    saved_at: float


class Catalogue:
    """The known job types; one per api. `version` rises whenever a type is new or changed."""

    def __init__(
        self, store: TypeCatalogue, clock: Clock, log: FilteringBoundLogger | None = None
    ) -> None:
        self.version = 0
        self._store = store
        self._clock = clock
        self._log = log or structlog.get_logger()
        self._entries: dict[str, _Entry] = {}
        self._decode = msgspec.json.Decoder().decode

    async def load(self, installed: Sequence[JobType]) -> None:
        """Read what the store knows, then learn the types installed beside this api.

        Raises StoreUnavailable where the store cannot be read.
        """
        for known in await self._store.known():
            try:
                validator = _compile(known.type)
            except InvalidValue as error:
                self._log.warning("type.refused", type=known.type.name, reason=error.detail)
                continue
            self._entries[known.type.name] = _Entry(known, validator, known.last_seen)
        self.version += 1
        await self.learn(installed, INSTALLED)

    async def learn(self, types: Sequence[JobType], source: str) -> Mapping[str, str]:
        """Take types over from `source` (a worker id or `api`); answers the refused: why by name.

        A refused type keeps what was known of it. The store is written only for what changed or
        was not renewed for RENEW_SECONDS; where it cannot be written now, the types are known
        here all the same and written by the next Register.
        """
        now = self._clock.utc()
        refused: dict[str, str] = {}
        unsaved: list[JobType] = []
        for job_type in types:
            try:
                if self._take_over(job_type, source, now):
                    unsaved.append(job_type)
            except InvalidValue as error:
                refused[job_type.name] = error.detail
                self._log.warning(
                    "type.refused", type=job_type.name, source=source, reason=error.detail
                )
        if unsaved:
            await self._save(unsaved, source, now)
        return refused

    def find(self, name: str) -> JobType:
        """The type called `name`, or the catch-all where one is known; raises UnknownType."""
        entry = self._entries.get(name)
        if entry is None:
            check_type_name(name)
            entry = self._entries.get(CATCH_ALL)
        if entry is None or name == CATCH_ALL:
            known = sorted(self._entries.keys() - {CATCH_ALL})
            raise UnknownType(f"{name!r} is not a known job type", known=known)
        return entry.known.type

    def validate(self, job_type: JobType, payload: bytes | msgspec.Raw) -> None:
        """Check a payload (JSON text) against the schema of a type that `find` gave.

        Raises InvalidPayload with `errors`, at most MAX_ERRORS of {"pointer", "reason"}, or
        MalformedJson where it is no JSON or nested deeper than MAX_NESTING.
        """
        value = self._read(payload)
        validator = self._entries[job_type.name].validator
        try:
            if validator.is_valid(value):
                return
            errors = [_fault(error) for error in islice(validator.iter_errors(value), MAX_ERRORS)]
        except ValueError as error:  # the validator's own bounds, e.g. of recursion
            errors = [{"pointer": "", "reason": _bounded(str(error))}]
        first = errors[0]
        where = f"at {first['pointer']}" if first["pointer"] else "at the top"
        raise InvalidPayload(
            f"the payload does not fit type {job_type.name!r}: {first['reason']} ({where})",
            errors=errors,
        )

    def known(self) -> list[KnownType]:
        """All known types by name."""
        return [self._entries[name].known for name in sorted(self._entries)]

    def _take_over(self, job_type: JobType, source: str, now: float) -> bool:
        """Know `job_type` from now on; answers whether the store must be told."""
        if job_type.name != CATCH_ALL:
            check_type_name(job_type.name)
        entry = self._entries.get(job_type.name)
        known = KnownType(type=job_type, last_seen=now, source=source)
        if entry is not None and entry.known.type == job_type:
            entry.known = known
            return now - entry.saved_at > RENEW_SECONDS
        same_schema = entry is not None and entry.known.type.schema == job_type.schema
        validator = entry.validator if entry and same_schema else _compile(job_type)
        self._entries[job_type.name] = _Entry(known, validator, 0.0)
        self.version += 1
        return True

    async def _save(self, types: Sequence[JobType], source: str, now: float) -> None:
        try:
            await self._store.learn(types, source)
        except (Unavailable, OutcomeUnknown, Unstorable) as error:
            self._log.warning("type.unsaved", types=len(types), reason=error.detail)
            return
        for job_type in types:
            self._entries[job_type.name].saved_at = now

    def _read(self, payload: bytes | msgspec.Raw) -> Any:
        try:
            value = self._decode(payload)
        except msgspec.ValidationError as error:  # a number that no float can hold
            raise InvalidPayload(
                f"payload: {error}", errors=[{"pointer": "", "reason": str(error)}]
            ) from error
        except msgspec.DecodeError as error:
            raise MalformedJson(f"payload: {error}") from error
        except UnicodeDecodeError as error:
            raise MalformedJson(f"payload: not UTF-8: {error.reason}") from error
        except RecursionError as error:
            raise _too_deep() from error
        if _nested_too_deep(payload, value):
            raise _too_deep()
        return value


def _compile(job_type: JobType) -> jsonschema_rs.Draft202012Validator:
    """The validator of a type's schema; raises InvalidValue with the reason.

    `offline` makes every reference to something outside an error instead of a fetch. The mask
    keeps values of payloads out of messages.
    """
    try:
        return jsonschema_rs.Draft202012Validator(
            job_type.schema, offline=True, validate_formats=True, mask="the value"
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise InvalidValue(
            f"the schema of {job_type.name!r} is broken: {_bounded(error.message)}"
        ) from error
    except ValueError as error:
        raise InvalidValue(
            f"the schema of {job_type.name!r} is broken: {_bounded(str(error))}"
        ) from error


def _fault(error: jsonschema_rs.ValidationError) -> dict[str, str]:
    """A JSON pointer (RFC 6901) and a reason."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
    pointer = "".join(f"/{step}" for step in steps)
    return {"pointer": _bounded(pointer), "reason": _bounded(error.message)}


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_REASON_CHARS else text[: MAX_REASON_CHARS - 1] + "…"


def _too_deep() -> MalformedJson:
    return MalformedJson(f"payload: nested deeper than {MAX_NESTING} levels")


def _nested_too_deep(payload: bytes | msgspec.Raw, value: Any) -> bool:
    """Whether `value`, read from `payload`, nests past MAX_NESTING.

    Few payloads have that many brackets at all, so most cost two counts, and small ones nothing;
    the others are walked level by level.
    """
    if len(payload) <= MAX_NESTING:
        return False
    text = bytes(payload)
    if text.count(b"[") + text.count(b"{") <= MAX_NESTING:
        return False
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_NESTING):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True
