"""The catalogue of job types: what is known, and what payloads get past it."""

from __future__ import annotations

import msgspec
import pytest

from hermesd.api.catalogue import MAX_ERRORS, MAX_NESTING, RENEW_SECONDS, Catalogue
from hermesd.clock import TrioClock
from hermesd.core.errors import InvalidPayload, MalformedJson, StoreUnavailable, UnknownType
from hermesd.core.job import Kind
from hermesd.core.jobtype import JobType
from hermesd.core.records import KnownType

EMAIL = JobType(
    name="email.send",
    kind=Kind.ASYNC,
    schema={
        "type": "object",
        "required": ["to"],
        "properties": {"to": {"type": "string", "format": "email"}, "n/a": {"type": "integer"}},
    },
)
CATCH_ALL = JobType(name="*", kind=Kind.ASYNC, schema={"type": "object"})


class ListedTypes:
    """A TypeCatalogue that remembers what was written and can be away."""

    def __init__(self, clock: TrioClock) -> None:
        self.written: list[tuple[str, str]] = []
        self.away = False
        self._clock = clock
        self._known: dict[str, KnownType] = {}

    async def learn(self, types: list[JobType], source: str) -> None:
        """See TypeCatalogue."""
        if self.away:
            raise StoreUnavailable("away")
        for each in types:
            self.written.append((each.name, source))
            self._known[each.name] = KnownType(
                type=each, last_seen=self._clock.utc(), source=source
            )

    async def known(self) -> list[KnownType]:
        """See TypeCatalogue."""
        return list(self._known.values())


class Shelf:
    """A catalogue over listed types."""

    def __init__(self) -> None:
        self.clock = TrioClock()
        self.types = ListedTypes(self.clock)
        self.catalogue = Catalogue(self.types, self.clock)


@pytest.fixture
async def shelf() -> Shelf:
    """An empty catalogue."""
    return Shelf()


async def test_learned_types_are_found_and_unknown_ones_name_the_known(shelf: Shelf) -> None:
    """A type that was learned is found; another one is refused with the known names."""
    await shelf.catalogue.load([EMAIL])
    assert shelf.catalogue.find("email.send") == EMAIL
    with pytest.raises(UnknownType) as refused:
        shelf.catalogue.find("email.sned")
    assert refused.value.extra["known"] == ["email.send"]


async def test_the_catch_all_takes_every_name_but_its_own(shelf: Shelf) -> None:
    """Where `*` is known any well-formed name finds it, and `*` itself is no type to submit."""
    await shelf.catalogue.load([CATCH_ALL])
    assert shelf.catalogue.find("what.ever.v2") == CATCH_ALL
    with pytest.raises(UnknownType):
        shelf.catalogue.find("*")


async def test_a_new_catalogue_knows_what_the_store_was_told(shelf: Shelf) -> None:
    """Types outlive the api: they are read from the store, with validators."""
    await shelf.catalogue.learn([EMAIL], "worker-1")
    second = Catalogue(shelf.types, shelf.clock)
    await second.load([])
    [known] = second.known()
    assert (known.type, known.source) == (EMAIL, "worker-1")
    with pytest.raises(InvalidPayload):
        second.validate(EMAIL, b"{}")


async def test_the_store_is_written_only_for_news_and_renewals(
    shelf: Shelf, autojump_clock: object
) -> None:
    """The same type again costs no write until RENEW_SECONDS have passed."""
    import trio

    for _ in range(3):
        await shelf.catalogue.learn([EMAIL], "worker-1")
    assert shelf.types.written == [("email.send", "worker-1")]
    version = shelf.catalogue.version
    await trio.sleep(RENEW_SECONDS + 1)
    await shelf.catalogue.learn([EMAIL], "worker-2")
    assert shelf.types.written[1:] == [("email.send", "worker-2")]
    assert shelf.catalogue.version == version


async def test_a_changed_schema_counts_at_once(shelf: Shelf) -> None:
    """Payloads are checked against the newest schema of a type."""
    await shelf.catalogue.load([EMAIL])
    newer = msgspec.structs.replace(EMAIL, schema={"type": "object", "required": ["from"]})
    version = shelf.catalogue.version
    await shelf.catalogue.learn([newer], "worker-1")
    assert shelf.catalogue.version > version
    shelf.catalogue.validate(shelf.catalogue.find("email.send"), b'{"from":1}')


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"pattern": "("},
        {"$ref": "http://192.0.2.1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json"},
        {"properties": {"a": {"$ref": "#/$defs/absent"}}},
    ],
)
async def test_a_broken_schema_is_refused_alone(shelf: Shelf, schema: dict[str, object]) -> None:
    """A schema that cannot be compiled, or refers elsewhere, costs its own type only."""
    broken = JobType(name="broken", kind=Kind.ASYNC, schema=schema)
    refused = await shelf.catalogue.learn([broken, EMAIL], "worker-1")
    assert list(refused) == ["broken"]
    assert "broken" in refused["broken"]
    assert [known.type.name for known in shelf.catalogue.known()] == ["email.send"]


async def test_a_broken_newer_schema_leaves_the_old_one_valid(shelf: Shelf) -> None:
    """What was known of a type stays when its newer schema is refused."""
    await shelf.catalogue.load([EMAIL])
    await shelf.catalogue.learn([msgspec.structs.replace(EMAIL, schema={"type": 7})], "worker-1")
    assert shelf.catalogue.find("email.send") == EMAIL


async def test_types_are_known_although_the_store_is_away(shelf: Shelf) -> None:
    """A Register during an outage counts here at once, and is written by the next one."""
    shelf.types.away = True
    await shelf.catalogue.learn([EMAIL], "worker-1")
    assert shelf.catalogue.find("email.send") == EMAIL
    shelf.types.away = False
    await shelf.catalogue.learn([EMAIL], "worker-1")
    assert shelf.types.written == [("email.send", "worker-1")]


async def test_a_schema_may_refer_to_itself_and_to_the_metaschema(shelf: Shelf) -> None:
    """References that need no fetching work."""
    tree = JobType(name="tree", kind=Kind.ASYNC, schema={"type": "array", "items": {"$ref": "#"}})
    meta = JobType(
        name="meta",
        kind=Kind.ASYNC,
        schema={"$ref": "https://json-schema.org/draft/2020-12/schema"},
    )
    await shelf.catalogue.load([tree, meta])
    shelf.catalogue.validate(tree, b"[[],[[]]]")
    with pytest.raises(InvalidPayload):
        shelf.catalogue.validate(tree, b"[1]")
    with pytest.raises(InvalidPayload):
        shelf.catalogue.validate(meta, b'{"type":"objekt"}')


async def test_faults_have_pointers_and_no_payload(shelf: Shelf) -> None:
    """Each fault names its place, and its reason does not repeat the value."""
    await shelf.catalogue.load([EMAIL])
    secret = "hunter2" * 100
    with pytest.raises(InvalidPayload) as refused:
        shelf.catalogue.validate(EMAIL, f'{{"to":"{secret}","n/a":"{secret}"}}'.encode())
    errors = refused.value.extra["errors"]
    assert {error["pointer"] for error in errors} == {"/to", "/n~1a"}
    assert "hunter2" not in str(errors) + refused.value.detail


async def test_faults_are_bounded_in_number_and_length(shelf: Shelf) -> None:
    """A payload of thousands of faults is told of the first MAX_ERRORS, shortly."""
    many = JobType(name="many", kind=Kind.ASYNC, schema={"additionalProperties": {"type": "null"}})
    await shelf.catalogue.load([many])
    payload = msgspec.json.encode({f"{place}" * 500: place for place in range(1000)})
    with pytest.raises(InvalidPayload) as refused:
        shelf.catalogue.validate(many, payload)
    errors = refused.value.extra["errors"]
    assert len(errors) == MAX_ERRORS
    assert all(len(error["reason"]) <= 200 and len(error["pointer"]) <= 200 for error in errors)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b'{"a":NaN}', b'{"a":Infinity}', b'"\xff"', b'"\\ud800"', b"[1,]", b"01", b"\x00"],
)
async def test_what_is_no_json_is_malformed(shelf: Shelf, payload: bytes) -> None:
    """A payload that a worker could not read is refused, whatever its schema."""
    loose = JobType(name="loose", kind=Kind.ASYNC)
    await shelf.catalogue.load([loose])
    with pytest.raises(MalformedJson):
        shelf.catalogue.validate(loose, msgspec.Raw(payload))


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_nesting_is_bounded(shelf: Shelf, opening: bytes) -> None:
    """MAX_NESTING levels pass, one more does not, nor do ten thousand."""
    loose = JobType(name="loose", kind=Kind.ASYNC)
    await shelf.catalogue.load([loose])
    closing = b"]" if opening == b"[" else b"}"
    shelf.catalogue.validate(
        loose, opening * MAX_NESTING + b"[]"[:0] + b"1" + closing * MAX_NESTING
    )
    for depth in (MAX_NESTING + 1, 10_000):
        with pytest.raises(MalformedJson, match="nested deeper"):
            shelf.catalogue.validate(loose, opening * depth + b"1" + closing * depth)


async def test_many_brackets_side_by_side_or_in_texts_are_not_deep(shelf: Shelf) -> None:
    """Only nesting counts: neither width nor brackets within strings."""
    loose = JobType(name="loose", kind=Kind.ASYNC)
    await shelf.catalogue.load([loose])
    shelf.catalogue.validate(loose, b"[" + b",".join([b"[[{}]]"] * 500) + b"]")
    shelf.catalogue.validate(loose, b'["' + b"[" * 500 + b'\\"{"]')


async def test_a_number_beyond_floats_is_told_as_such(shelf: Shelf) -> None:
    """1e999 is JSON, but no handler could get it."""
    loose = JobType(name="loose", kind=Kind.ASYNC)
    await shelf.catalogue.load([loose])
    with pytest.raises(InvalidPayload, match="out of range"):
        shelf.catalogue.validate(loose, b'{"a":1e999}')
