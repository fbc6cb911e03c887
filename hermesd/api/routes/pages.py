"""The dashboard's files: read once at the start and served from memory, with no other by any name.

They are HTML, CSS and ES modules as they lie in hermesd/dashboard. A browser asks for each again
whenever it needs it and is told by the ETag that it has it already (RFC 9110 8.8.3, 13.1.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple, cast

from litestar import Response, get

from hermesd.api.routes.access import HttpRequest
from hermesd.core.errors import NotFound

PAGES: Final = "pages"
INDEX: Final = "index.html"

# Litestar adds the charset to every text type by itself.
_KINDS: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "txt": "text/plain",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/vnd.microsoft.icon",
}
_HEADERS: Final = {
    "cache-control": "no-cache",  # it may be kept, and must be asked for again each time
    # Nothing but our own files: what a job holds can never be run, even where it was rendered.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Page(NamedTuple):
    """A file as it is served; `etag` is a strong one."""

    body: bytes
    media_type: str
    etag: str


def read_pages() -> Mapping[str, Page]:
    """The dashboard's files by their path in its folder; others than those of _KINDS are none."""
    return dict(_read(files("hermesd") / "dashboard", ""))


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, Page]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        kind = _KINDS.get(entry.name.rpartition(".")[2])
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif kind is not None:
            body = entry.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            yield prefix + entry.name, Page(body, kind, etag)


def index_for(request: HttpRequest) -> Response[bytes] | None:
    """The dashboard, for those who would rather have HTML than JSON."""
    page = _pages_of(request).get(INDEX)
    if page is None or not prefers_html(request.headers.get("accept", "")):
        return None
    return _answer(page, request, {"vary": "accept"})


@get("/ui/{name:path}")
async def show_page(request: HttpRequest) -> Response[bytes]:
    """A file of the dashboard; raises NotFound for anything else."""
    page = _pages_of(request).get(str(request.path_params["name"]).removeprefix("/"))
    if page is None:
        raise NotFound("the dashboard has no such file")
    return _answer(page, request, {})


def prefers_html(accept: str) -> bool:
    """Whether an Accept field names HTML before JSON (RFC 9110 12.5.1); a tie is for JSON."""
    ranges = [_range(part) for part in accept.split(",")]
    return _weight(ranges, "text/html") > _weight(ranges, "application/json")


def _weight(ranges: Sequence[tuple[str, float]], media_type: str) -> float:
    """How much a media type is wanted: by the range that names it best."""
    family = f"{media_type.partition('/')[0]}/*"
    for fitting in (media_type, family, "*/*"):
        for name, weight in ranges:
            if name == fitting:
                return weight
    return 0.0


def _range(text: str) -> tuple[str, float]:
    name, _, parameters = text.partition(";")
    return name.strip().lower(), _quality(parameters)


def _quality(parameters: str) -> float:
    """The weight among the parameters of a media range; one that cannot be read is none."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _answer(page: Page, request: HttpRequest, more: Mapping[str, str]) -> Response[bytes]:
    headers = {**_HEADERS, **more, "etag": page.etag}
    if _has(request.headers.get("if-none-match", ""), page.etag):
        return Response(b"", status_code=304, headers=headers, media_type=page.media_type)
    return Response(page.body, headers=headers, media_type=page.media_type)


def _has(tags: str, etag: str) -> bool:
    """Whether If-None-Match names it; compared weakly, as RFC 9110 13.1.2 has it."""
    named = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
    return etag in named or "*" in named


def _pages_of(request: HttpRequest) -> Mapping[str, Page]:
    return cast(Mapping[str, Page], request.app.state[PAGES])


PAGE_HANDLERS: Final = (show_page,)
