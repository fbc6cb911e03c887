"""What a submit of type `email` says, and what its job results in."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

# The line breaks that could start a header of its own are refused at the submit already; the
# message is checked again before it is built.
_ONE_LINE = r"^[^\r\n\u0000]*$"

Address = Annotated[
    str,
    Meta(
        description="ann@example.org or Ann Example <ann@example.org>",
        pattern=_ONE_LINE,
        min_length=3,
        max_length=998,
    ),
]
Addresses = Annotated[list[Address], Meta(max_length=500)]


class Attachment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file within the mail; in JSON its content is base64."""

    filename: Annotated[
        str, Meta(title="File name", pattern=_ONE_LINE, min_length=1, max_length=255)
    ]
    content: Annotated[bytes, Meta(title="Content", description="base64")]
    content_type: Annotated[
        str,
        Meta(
            title="Content type",
            pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
            max_length=255,
        ),
    ] = "application/octet-stream"


class EmailPayload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mail. Addresses in `bcc` get it and stand in no header."""

    to: Annotated[
        Address | Annotated[list[Address], Meta(min_length=1, max_length=500)],
        Meta(title="To", description="One address or a list of them"),
    ]
    subject: Annotated[str, Meta(title="Subject", pattern=_ONE_LINE, max_length=998)]
    body: Annotated[str, Meta(title="Text", description="The mail as plain text")]
    html: Annotated[
        str | None, Meta(title="HTML", description="The same as HTML, beside the text")
    ] = None
    cc: Annotated[Addresses, Meta(title="Cc")] = []
    bcc: Annotated[Addresses, Meta(title="Bcc")] = []
    reply_to: Annotated[Address | None, Meta(title="Reply-To")] = None
    sender: Annotated[
        Address | None, Meta(title="From", description="Empty: the sender in the settings")
    ] = msgspec.field(default=None, name="from")
    headers: Annotated[
        dict[str, Annotated[str, Meta(pattern=_ONE_LINE, max_length=998)]],
        Meta(title="Further headers", description="Such as List-Unsubscribe", max_length=50),
    ] = {}
    attachments: Annotated[list[Attachment], Meta(title="Attachments", max_length=50)] = []


class RefusedRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """Why the server did not take the mail for one recipient: its status code and its text."""

    code: int
    reason: str


class EmailResult(msgspec.Struct, frozen=True, kw_only=True):
    """Who the server took the mail for; `refused` by address. A mail nobody gets is no result."""

    message_id: str
    accepted: list[str]
    refused: dict[str, RefusedRecipient]
