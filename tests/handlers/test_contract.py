"""The decorator `job`: what it derives, what it refuses, and what its handlers do."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import jsonschema_rs
import msgspec
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.backoff import Backoff
from hermesd.core.errors import InvalidPayload, InvalidValue, PluginError
from hermesd.core.job import Job, Kind, Token
from hermesd.handlers import Handler, JobContext, UnstorableResult, job

if TYPE_CHECKING:
    from nowhere import OnlyForTypeCheckers  # type: ignore[import-not-found]  # not to be found


class Address(msgspec.Struct):
    street: str
    number: Annotated[int, msgspec.Meta(ge=1)]


class Letter(msgspec.Struct):
    """A letter."""

    to: Address
    copies: dict[str, list[Address]] = {}
    urgent: bool = False


@dataclasses.dataclass
class Point:
    x: int


class Options(TypedDict):
    depth: int


@job("letter.send", queue="mail", priority="high", max_attempts=5, timeout=2.5, crash_limit=1)
def send_letter(payload: Letter) -> str:
    """Sends a letter."""
    return payload.to.street


@job("any")
def take_anything(payload, ctx):  # type: ignore[no-untyped-def]  # an untyped handler is the point
    return payload, ctx.type


def handler_of(annotation: Any) -> Handler:
    """A handler whose payload has this annotation."""

    def fn(payload: Any) -> Any:
        return payload

    fn.__annotations__["payload"] = annotation
    return job("x")(fn)


def test_a_handler_is_called_like_its_function() -> None:
    """Tests of plugins need no machinery."""
    assert send_letter(Letter(to=Address("Elm", 1))) == "Elm"


def test_a_handler_tells_its_type_kind_and_defaults() -> None:
    """What the decorator was given is in the catalogue entry, the rest is left open."""
    defaults = send_letter.type.defaults
    assert send_letter.type.name == "letter.send"
    assert send_letter.type.kind is Kind.THREAD
    assert send_letter.type.description == "Sends a letter."
    assert (defaults.queue, defaults.priority, defaults.max_attempts) == ("mail", 7, 5)
    assert (defaults.timeout, defaults.crash_limit, defaults.backoff) == (2.5, 1, None)
    assert send_letter.reference.endswith(":send_letter")


def test_a_handler_is_frozen() -> None:
    """Nothing may be changed behind the catalogue's back."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        send_letter.reference = "other"  # type: ignore[misc]  # what is tested


def test_an_async_function_runs_in_the_event_loop_by_default() -> None:
    """And a plain one in a thread."""

    @job("x")
    async def fn(payload: int) -> None: ...

    assert fn.type.kind is Kind.ASYNC
    assert fn.is_async
    assert take_anything.type.kind is Kind.THREAD


def test_the_schema_is_self_contained_and_valid_2020_12() -> None:
    """Nested structs are under $defs, and a validator agrees with the decoder."""
    schema = send_letter.type.schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["$defs"]) == {"Letter", "Address"}
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert validator.is_valid({"to": {"street": "Elm", "number": 1}})
    assert not validator.is_valid({"to": {"street": "Elm", "number": 0}})
    assert not validator.is_valid({})


@pytest.mark.parametrize(
    ("annotation", "raw", "payload"),
    [
        (dict, b'{"a": 1}', {"a": 1}),
        (dict[str, int], b'{"a": 1}', {"a": 1}),
        (Point, b'{"x": 1}', Point(1)),
        (Options, b'{"depth": 2}', {"depth": 2}),
        (int | None, b"null", None),
        ("list[int]", b"[1]", [1]),
        (Any, b'[1, "two", null]', [1, "two", None]),
    ],
)
def test_a_payload_may_be_of_any_type_that_msgspec_reads(
    annotation: Any, raw: bytes, payload: Any
) -> None:
    """Structs, dataclasses, TypedDicts, builtins, and annotations as strings."""
    assert handler_of(annotation).decode(raw) == payload


def test_no_annotation_takes_anything() -> None:
    """Its schema is the empty one."""
    assert take_anything.type.schema == {}
    assert take_anything.decode(b"[1]") == [1]


def test_only_the_payloads_annotation_is_looked_at() -> None:
    """The context's may exist for type checkers alone."""

    @job("x")
    def fn(payload: Letter, ctx: OnlyForTypeCheckers) -> None: ...

    assert fn.payload_type is Letter
    assert fn.takes_context


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b"{}", ""),
        (b'{"to": 1}', "/to"),
        (b'{"to": {"street": "a", "number": "b"}}', "/to/number"),
        (b'{"to": {"street": "a", "number": 1}, "copies": {"x": [1]}}', "/copies"),
        (b"{", ""),
        (b"", ""),
        (b"\xff", ""),
        (b'{"to": {"street": "\xff\xff"}}', ""),
        (b"[" * 100_000, ""),
    ],
)
def test_a_payload_that_does_not_fit_names_the_path(raw: bytes, pointer: str) -> None:
    """Wrong types, bad JSON, bad UTF-8 and deep nesting are all the payload's fault."""
    with pytest.raises(InvalidPayload) as caught:
        send_letter.decode(raw)
    (error,) = caught.value.extra["errors"]
    assert error["pointer"] == pointer
    assert error["reason"]


def test_a_list_index_and_a_bad_key_are_in_the_path() -> None:
    """The pointer goes as far as the decoder names the steps."""
    with pytest.raises(InvalidPayload) as caught:
        handler_of(list[Point]).decode(b'[{"x": 1}, {"x": null}]')
    assert caught.value.extra["errors"][0]["pointer"] == "/1/x"
    with pytest.raises(InvalidPayload) as caught:
        handler_of(dict[int, int]).decode(b'{"x": 1}')
    assert caught.value.extra["errors"][0]["pointer"] == ""


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_an_invalid_payload(raw: bytes) -> None:
    """The decoder's errors are all translated."""
    with contextlib.suppress(InvalidPayload):
        assert isinstance(send_letter.decode(raw), Letter)


def test_a_result_is_encoded_as_json() -> None:
    """Also structs; None is null."""
    assert send_letter.encode_result(Address("Elm", 1)) == b'{"street":"Elm","number":1}'
    assert send_letter.encode_result(None) == b"null"


@pytest.mark.parametrize("value", [object(), "\ud800", {(1, 2): 3}, [object()]])
def test_a_result_that_is_no_json_is_unstorable(value: object) -> None:
    """The error names the result's type and is a permanent one."""
    with pytest.raises(UnstorableResult, match=type(value).__name__):
        send_letter.encode_result(value)


def no_parameters() -> None: ...
def three_parameters(payload: int, ctx: object, more: int) -> None: ...
def keyword_needed(payload: int, *, more: int) -> None: ...
def unresolvable(payload: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def no_schema(payload: os.PathLike[str]) -> None: ...
async def coroutine(payload: int) -> None: ...
def plain(payload: int) -> None: ...


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (no_parameters, {}, r"fn\(payload\) or fn\(payload, ctx\)"),
        (three_parameters, {}, r"fn\(payload\) or fn\(payload, ctx\)"),
        (keyword_needed, {}, r"fn\(payload\) or fn\(payload, ctx\)"),
        (unresolvable, {}, "top level of the module"),
        (no_schema, {}, "PathLike"),
        (plain, {"kind": "async"}, "needs an async function"),
        (coroutine, {"kind": "thread"}, "needs a plain function"),
        (plain, {"kind": "fiber"}, "none of async, thread, process"),
        (3, {}, "made of a function"),
    ],
)
def test_a_function_that_cannot_be_a_handler_is_refused_at_decoration(
    fn: Any, options: dict[str, Any], message: str
) -> None:
    """The message names the job type and what to do."""
    with pytest.raises(PluginError, match=message) as caught:
        job("some.type", **options)(fn)
    assert "some.type" in caught.value.detail


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "two words"},
        {"name": "**"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"max_attempts": 0},
        {"crash_limit": 0},
        {"priority": 11},
        {"priority": "urgentest"},
    ],
)
def test_a_bad_name_or_number_is_refused(options: dict[str, Any]) -> None:
    """Before any function is looked at."""
    with pytest.raises(InvalidValue):
        job(**{"name": "x", **options})


def test_a_handler_is_invoked_with_what_it_takes() -> None:
    """The context goes only to those that have a place for it."""
    ctx = JobContext(job_id="j", type="real.type")
    assert take_anything.invoke(1, ctx) == (1, "real.type")
    assert send_letter.invoke(Letter(to=Address("Elm", 1)), ctx) == "Elm"


def test_a_process_handler_may_be_async_and_needs_a_place_to_be_found() -> None:
    """One inside of a function cannot be imported by a child."""
    handler = job("x", kind="process", backoff=Backoff(seconds=2))(coroutine)
    assert handler.type.kind is Kind.PROCESS
    assert handler.type.defaults.backoff == Backoff(seconds=2)

    def inner(payload: int) -> None: ...

    with pytest.raises(PluginError, match="top level"):
        job("x", kind="process")(inner)


def test_the_context_tells_what_the_job_says() -> None:
    """And whether the attempt should end."""
    given_job = Job(
        id="j", type="t", payload=msgspec.Raw(b"1"), attempts=2, timeout=9, labels={"a": "b"}
    )
    ctx = JobContext.for_job(given_job, is_cancelled=lambda: True)
    assert (ctx.job_id, ctx.type, ctx.attempt, ctx.timeout_seconds) == ("j", "t", 2, 9)
    assert ctx.labels == {"a": "b"}
    assert ctx.cancel_requested()
    assert not JobContext(job_id="j", type="t").cancel_requested()


def test_the_contexts_log_is_bound_to_the_attempt() -> None:
    """Every line of a handler says whose it is."""
    import structlog
    from structlog.testing import LogCapture

    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture])
    JobContext(job_id="j", type="t", attempt=3, logger=logger).log.info("hello", more=1)
    assert capture.entries == [
        {"event": "hello", "log_level": "info", "job_id": "j", "type": "t", "attempt": 3, "more": 1}
    ]


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def progress(self, token: Token, fraction: float, note: str) -> None:
        self.heard.append((token, fraction, note))

    def line(self, token: Token, level: str, line: str) -> None:
        self.heard.append((token, level, line))


def test_a_handler_tells_its_progress_and_logs_lines() -> None:
    """Under the token of its attempt, bounded; a last line end is left out."""
    listener = Listener()
    ctx = JobContext(job_id="j", type="t", lease=7, notes=listener)
    token = Token("j", 7)
    ctx.progress(0.5, "half")
    ctx.progress(1)
    ctx.progress(0.1, "n" * 1000)
    ctx.log("hello\n")
    ctx.log("oh\0", level="error")
    ctx.log("x" * 10_000)
    *told, cut_note, plain, odd, cut_line = listener.heard
    assert told == [(token, 0.5, "half"), (token, 1.0, "")]
    assert (len(cut_note[2].encode()), len(cut_line[2].encode())) == (256, 4096)
    assert (plain, odd) == ((token, "info", "hello"), (token, "error", "oh�"))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), 40, "most"])
def test_a_progress_that_is_none_is_refused(fraction: Any) -> None:
    """Where it is told, so that its author sees it; nobody hears of it."""
    listener = Listener()
    with pytest.raises(ValueError, match="from 0 to 1"):
        JobContext(job_id="j", type="t", notes=listener).progress(fraction)
    with pytest.raises(ValueError, match="none of debug"):
        JobContext(job_id="j", type="t", notes=listener).log("text", level="loud")
    assert listener.heard == []


async def test_an_async_handler_may_await_its_progress() -> None:
    """Outside of the daemon too; then nobody listens."""
    ctx = JobContext(job_id="j", type="t")
    with trio.testing.assert_checkpoints():
        await ctx.progress(0.5)
    ctx.log("nobody hears")


def test_a_context_as_text_withholds_the_settings() -> None:
    """They may hold secrets, and a context is what an author prints first."""
    ctx = JobContext(job_id="j-1", type="real.type", settings={"password": "hunter2"})
    assert "hunter2" not in f"{ctx} {ctx!r}"
    assert "j-1" in repr(ctx)
