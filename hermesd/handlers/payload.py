"""From a handler's signature to what it takes: a type, a JSON Schema and a decoder."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec

from hermesd.core.errors import InvalidPayload, PluginError

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_AT_PATH = re.compile(r"^(?P<reason>.*?)(?: - at (?:`key` in )?`(?P<path>\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")


class Signature(NamedTuple):
    """What a handler function takes: its payload's type, and whether it wants the context."""

    payload_type: Any
    takes_context: bool


def read_signature(fn: Callable[..., Any], name: str) -> Signature:
    """The signature of `fn(payload)` or `fn(payload, ctx)`; raises PluginError on another one."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError) as error:
        raise PluginError(f"{name}: its signature cannot be read: {error}") from error
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    needed = [
        each
        for each in parameters
        if each not in positional[:2]
        and each.default is each.empty
        and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if not positional or needed:
        raise PluginError(
            f"{name}: a handler is fn(payload) or fn(payload, ctx), got fn{inspect.signature(fn)}"
        )
    return Signature(_resolve(positional[0], fn, name), len(positional) > 1)


def _resolve(parameter: inspect.Parameter, fn: Callable[..., Any], name: str) -> Any:
    """The payload's annotation alone, since that of ctx may exist for type checkers only."""
    if parameter.annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"payload": parameter.annotation})
    scope = getattr(inspect.unwrap(fn), "__globals__", {})
    try:
        return get_type_hints(holder, globalns=scope, include_extras=True)["payload"]
    except Exception as error:
        raise PluginError(
            f"{name}: the annotation {parameter.annotation!r} of its payload cannot be resolved "
            f"({error}); define it at the top level of the module"
        ) from error


def schema_of(payload_type: Any, name: str) -> dict[str, Any]:
    """The self-contained JSON Schema (2020-12) of a payload; {} where anything is taken."""
    if payload_type is Any:
        return {}
    try:
        schema = msgspec.json.schema(payload_type)
    except Exception as error:
        raise PluginError(f"{name}: no JSON Schema for {payload_type!r}: {error}") from error
    return {"$schema": DIALECT, **schema} if schema else {}


def decoder_of(payload_type: Any, name: str) -> Callable[[bytes], Any]:
    """A function from JSON to a payload; it raises InvalidPayload with the path of the fault."""
    try:
        decode = msgspec.json.Decoder(payload_type).decode
    except Exception as error:
        raise PluginError(
            f"{name}: payloads cannot be read as {payload_type!r}: {error}"
        ) from error

    def decoded(raw: bytes) -> Any:
        try:
            return decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _invalid_payload(str(error)) from error

    return decoded


def _invalid_payload(text: str) -> InvalidPayload:
    """msgspec's "reason - at `$.a[0]`" as the JSON pointer (RFC 6901) and the reason."""
    match = _AT_PATH.match(text)
    reason = match["reason"] if match else text
    pointer = _pointer((match["path"] if match else None) or "$")
    return InvalidPayload(
        f"{reason} at {pointer or 'the top'}", errors=[{"pointer": pointer, "reason": reason}]
    )


def _pointer(path: str) -> str:
    """The pointer to `path`, or to the mapping that holds it: msgspec does not name keys."""
    steps = []
    for field, index, unnamed in _STEP.findall(path):
        if unnamed:
            break
        steps.append((field or index).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in steps)
