"""What a submit of type `http` says, and what its job results in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Status = Annotated[int, Meta(ge=200, le=599)]


class HttpPayload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call. Of `json` and `body` at most one may be given."""

    url: Annotated[
        str,
        Meta(
            title="URL",
            description="http or https, absolute",
            pattern=r"^[hH][tT][tT][pP][sS]?://\S+$",
            max_length=8192,
        ),
    ]
    method: Annotated[Method, Meta(title="Method")] = "POST"
    headers: Annotated[
        dict[str, str],
        Meta(title="Headers", description="Sent beside those of hermesd", max_length=64),
    ] = {}
    json: Annotated[
        Any, Meta(title="JSON body", description="Sent as application/json; not with `body`")
    ] = UNSET
    body: Annotated[
        str | None, Meta(title="Text body", description="Sent as UTF-8; not with `json`")
    ] = None
    timeout_seconds: Annotated[
        float, Meta(title="Timeout", description="For the whole call, in seconds", gt=0, le=3600)
    ] = 30.0
    expected_statuses: Annotated[
        list[Status],
        Meta(
            title="Expected statuses",
            description="What counts as success; empty: any 2xx",
            max_length=100,
        ),
    ] = []

    def __post_init__(self) -> None:
        if self.json is not UNSET and self.body is not None:
            raise ValueError("give `json` or `body`, not both")

    def content(self) -> tuple[bytes, str | None]:
        """The body's bytes, and its content type unless the headers name one."""
        if self.json is not UNSET:
            return msgspec.json.encode(self.json), "application/json"
        if self.body is not None:
            return self.body.encode(), "text/plain; charset=utf-8"
        return b"", None

    def expects(self, status: int) -> bool:
        """Whether an answer with `status` makes the job a success."""
        if self.expected_statuses:
            return status in self.expected_statuses
        return 200 <= status <= 299


class HttpResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `body` is text as far as it was read; `truncated`: there was more."""

    status: int
    headers: dict[str, str]
    body: str
    truncated: bool
    elapsed_ms: int
