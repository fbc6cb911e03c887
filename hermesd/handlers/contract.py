"""How a function becomes a handler: the decorator `job` and the `Handler` that it makes."""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from hermesd.core.backoff import Backoff
from hermesd.core.errors import InvalidValue, PluginError
from hermesd.core.job import Kind, priority_of
from hermesd.core.jobtype import CATCH_ALL, JobType, TypeDefaults, check_type_name
from hermesd.handlers.context import JobContext
from hermesd.handlers.endings import UnstorableResult
from hermesd.handlers.payload import decoder_of, read_signature, schema_of

Function = Callable[..., Any]
CHILD_MAIN: Final = "__hermesd_main__"  # what a child process calls the script it was given


@dataclass(frozen=True, eq=False, kw_only=True)
class Handler:
    """A function and what the daemon knows of it; calling it calls the function.

    `reference` is how a child process finds it again: "module:qualname", or "/a/script.py:qualname"
    where it stands in the script that was started; "" where it cannot be found from outside.
    """

    type: JobType
    fn: Function
    payload_type: Any
    takes_context: bool
    reference: str
    _decode: Callable[[bytes], Any] = field(repr=False)

    @property
    def is_async(self) -> bool:
        """Whether the function must be awaited (under trio)."""
        return inspect.iscoroutinefunction(self.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function itself, for tests of plugins and for other handlers."""
        return self.fn(*args, **kwargs)

    def invoke(self, payload: Any, ctx: JobContext) -> Any:
        """Calls the function with what it takes; an async one gives its coroutine."""
        return self.fn(payload, ctx) if self.takes_context else self.fn(payload)

    def decode(self, raw: bytes) -> Any:
        """The payload from JSON; raises InvalidPayload, whose `errors` name path and reason."""
        return self._decode(raw)

    def encode_result(self, value: Any) -> bytes:
        """The result as JSON; raises UnstorableResult where it has no such form."""
        try:
            return msgspec.json.encode(value)
        except Exception as error:  # an object's own hooks may raise anything
            raise UnstorableResult(
                f"a result of type {type(value).__name__} is not storable as JSON: {error}"
            ) from error


def job(
    name: str,
    *,
    kind: Kind | str | None = None,
    queue: str | None = None,
    priority: int | str | None = None,
    max_attempts: int | None = None,
    timeout: float | None = None,
    backoff: Backoff | None = None,
    crash_limit: int | None = None,
    description: str | None = None,
) -> Callable[[Function], Handler]:
    """Makes a handler for the job type `name` of a function fn(payload) or fn(payload, ctx).

    The payload's annotation (a msgspec.Struct, dataclass, TypedDict, dict, ...) is its schema; none
    takes anything. Without a `kind`, an async function runs in the event loop and a plain one in a
    thread. What is None is left to the configuration; `timeout` is in seconds. `name` may be "*":
    every type that no other handler has. Raises InvalidValue for a bad name or number, PluginError
    for a function that does not fit.
    """
    if name != CATCH_ALL:
        check_type_name(name)
    defaults = TypeDefaults(
        queue=queue,
        priority=None if priority is None else priority_of(priority),
        max_attempts=_at_least_one("max_attempts", max_attempts),
        timeout=_positive("timeout", timeout),
        backoff=backoff,
        crash_limit=_at_least_one("crash_limit", crash_limit),
    )

    return partial(_made, name, kind, defaults, description)


def _made(
    name: str,
    kind: Kind | str | None,
    defaults: TypeDefaults,
    description: str | None,
    fn: Function,
) -> Handler:
    """What `job` makes of `fn`."""
    label = f"job {name!r}"
    if not hasattr(fn, "__qualname__"):
        raise PluginError(f"{label}: a handler is made of a function, not of {fn!r}")
    signature = read_signature(fn, label)
    chosen = _kind(kind, fn, label)
    reference = _reference(fn)
    if chosen is Kind.PROCESS and not reference:
        raise PluginError(
            f"{label}: a child process cannot find {fn.__qualname__}; "
            "a handler of kind 'process' must stand at the top level of a module or script"
        )
    return Handler(
        type=JobType(
            name=name,
            kind=chosen,
            schema=schema_of(signature.payload_type, label),
            defaults=defaults,
            description=inspect.getdoc(fn) or "" if description is None else description,
        ),
        fn=fn,
        payload_type=signature.payload_type,
        takes_context=signature.takes_context,
        reference=reference,
        _decode=decoder_of(signature.payload_type, label),
    )


def _kind(kind: Kind | str | None, fn: Function, label: str) -> Kind:
    is_async = inspect.iscoroutinefunction(fn)
    if kind is None:
        return Kind.ASYNC if is_async else Kind.THREAD
    try:
        chosen = Kind(kind)
    except ValueError:
        names = ", ".join(Kind)
        raise PluginError(f"{label}: kind {kind!r} is none of {names}") from None
    if chosen is Kind.ASYNC and not is_async:
        raise PluginError(
            f"{label}: kind 'async' needs an async function, and {fn.__qualname__} is a plain one; "
            "make it 'async def', or let it run in a thread or a process"
        )
    if chosen is Kind.THREAD and is_async:
        raise PluginError(
            f"{label}: kind 'thread' needs a plain function, and {fn.__qualname__} is async"
        )
    return chosen


def _reference(fn: Function) -> str:
    """See Handler.reference; a script started as `python -m` is importable by its own name."""
    module, qualname = fn.__module__, fn.__qualname__
    if "<locals>" in qualname or "<lambda>" in qualname:
        return ""
    if module != "__main__":
        return f"{module}:{qualname}"
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return f"{main.__spec__.name}:{qualname}"
    path = getattr(main, "__file__", None)
    return f"{os.path.abspath(path)}:{qualname}" if path else ""


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise InvalidValue(f"{name} must be 1 or more, got {value}")
    return value


def _positive(name: str, value: float | None) -> float | None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise InvalidValue(f"{name} must be a positive number of seconds, got {value}")
    return value
