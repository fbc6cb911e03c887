"""The OpenAPI 3.1 document, made from the routes, their structs and the known job types.

Every handler carries a `Doc` in its `opt`; nothing is described that is not routed, and a route
without one is left out. Payload schemas are those of the catalogue, so the document follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar.routes import HTTPRoute
from litestar.routes.base import BaseRoute

from hermesd.api.routes.query import Query, parameters
from hermesd.core.errors import HermesError, Unavailable
from hermesd.core.jobtype import CATCH_ALL
from hermesd.core.records import KnownType

DOC: Final = "doc"
_REF: Final = "#/components/schemas/{name}"
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})


class Doc(msgspec.Struct, frozen=True, kw_only=True):
    """What a route does: `answers` by status (a struct, or a media type), `errors` it may raise.

    `submits` marks the bodies whose items are checked against the payload schemas.
    """

    summary: str
    answers: Mapping[int, Any]
    query: type[Query] | None = None
    body: Any = None
    headers: Mapping[str, str] = {}
    errors: Sequence[type[HermesError]] = ()


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error (RFC 9457); some kinds have further members, such as `errors` or `known`."""

    type: str
    title: str
    status: int
    detail: str


def build_document(
    routes: Iterable[BaseRoute], types: Sequence[KnownType], *, version: str, request_name: str
) -> dict[str, Any]:
    """The document; `request_name` is the component of a submit's body, to which types add."""
    documented = [
        (route, method, handler.opt[DOC])
        for route in routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if DOC in handler.opt
        for method in sorted(handler.http_methods & _METHODS)
    ]
    names = _Names([doc for _, _, doc in documented])
    paths: dict[str, dict[str, Any]] = {}
    for route, method, doc in documented:
        paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, doc, names)
    components = dict(sorted(names.components.items()))
    components |= _payloads(types)
    components[request_name] = _submit_schema(components[request_name], types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hermesd",
            "version": version,
            "description": "Submits, follows and operates the jobs of hermesd.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components},
    }


class _Names:
    """The schemas of all structs that the routes speak of, as components."""

    def __init__(self, docs: Sequence[Doc]) -> None:
        found: dict[str, Any] = {"ProblemDetails": ProblemDetails}
        for doc in docs:
            for spoken in (doc.body, *doc.answers.values()):
                if isinstance(spoken, type):
                    found[spoken.__name__] = spoken
        _, self.components = msgspec.json.schema_components(found.values(), ref_template=_REF)

    def content(self, spoken: Any) -> dict[str, Any]:
        """The `content` of a body: a struct as JSON, a media type as it is, or none."""
        if spoken is None:
            return {}
        if isinstance(spoken, str):
            return {"content": {spoken: {}}}
        reference = {"$ref": _REF.format(name=spoken.__name__)}
        return {"content": {"application/json": {"schema": reference}}}


def _operation(route: HTTPRoute, doc: Doc, names: _Names) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": doc.summary}
    taken = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.path_parameters
    ]
    taken += _query_parameters(doc.query) if doc.query else []
    taken += [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in doc.headers.items()
    ]
    if taken:
        operation["parameters"] = taken
    if doc.body is not None:
        operation["requestBody"] = {"required": True, **names.content(doc.body)}
    answers: dict[str, Any] = {
        str(status): {"description": "done", **names.content(spoken)}
        for status, spoken in doc.answers.items()
    }
    for status, slugs in _problems(doc.errors).items():
        answers.setdefault(str(status), _problem_answer(slugs, status))
    operation["responses"] = answers
    return operation


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    listed = []
    for each in parameters(query).values():
        schema = msgspec.json.schema(each.type)
        inlined = _inline(schema, schema.pop("$defs", {}))
        if each.default is not msgspec.NODEFAULT and each.default is not None:
            inlined["default"] = each.default
        listed.append({"name": each.name, "in": "query", "schema": inlined})
    return listed


def _inline(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """`schema` with the enums that it refers to in their place."""
    if isinstance(schema, list):
        return [_inline(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return {key: _inline(value, definitions) for key, value in schema.items()}


def _problems(errors: Sequence[type[HermesError]]) -> dict[int, list[type[HermesError]]]:
    grouped: dict[int, list[type[HermesError]]] = {}
    for error in errors:
        grouped.setdefault(error.http_status, []).append(error)
    return grouped


def _problem_answer(errors: Sequence[type[HermesError]], status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": "; ".join(f"{error.slug}: {error.title}" for error in errors),
        "content": {
            "application/problem+json": {"schema": {"$ref": _REF.format(name="ProblemDetails")}}
        },
    }
    if any(issubclass(error, Unavailable) for error in errors):
        answer["headers"] = {
            "Retry-After": {"description": "seconds", "schema": {"type": "integer"}}
        }
    return answer


def _payloads(types: Sequence[KnownType]) -> dict[str, Any]:
    """The payload schemas by component, with what they refer to in themselves."""
    return {
        name: _moved(known.type.schema, _REF.format(name=name))
        for known in types
        if known.type.name != CATCH_ALL
        for name in (_payload_name(known.type.name),)
    }


def _moved(schema: Any, place: str) -> Any:
    """`schema` as it must read at `place`: pointers from its root start there now.

    One with an `$id` is a resource of its own wherever it is, and stays as it is.
    """
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict) or "$id" in schema:
        return schema
    moved = {key: _moved(value, place) for key, value in schema.items()}
    reference = schema.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        moved["$ref"] = place + reference[1:]
    return moved


def _submit_schema(base: dict[str, Any], types: Sequence[KnownType]) -> dict[str, Any]:
    """The submit's schema: one alternative for each known type, told apart by `type`."""
    names = [known.type.name for known in types if known.type.name != CATCH_ALL]
    alternatives: list[dict[str, Any]] = [
        {
            "title": name,
            "properties": {
                "type": {"const": name},
                "payload": {"$ref": _REF.format(name=_payload_name(name))},
            },
        }
        for name in names
    ]
    if len(names) < len(types):
        alternatives.append(
            {"title": "any other type", "properties": {"type": {"not": {"enum": names}}}}
        )
    return base | {"oneOf": alternatives} if alternatives else base


def _payload_name(name: str) -> str:
    return f"Payload_{name}"
