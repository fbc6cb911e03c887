"""The ranges that the fields of the sections have.

The descriptions complete the sentence "must be ..." of a refusal.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

KIB: Final = 1024
MIB: Final = 1024 * KIB
MAX_SECONDS: Final = 365 * 24 * 3600.0
MAX_KEPT_SECONDS: Final = 100 * MAX_SECONDS
MAX_COUNT: Final = 10_000_000
MAX_BYTES: Final = 1024 * MIB
MAX_MESSAGE_BYTES: Final = 128 * MIB  # what RabbitMQ takes unless it is told otherwise

Port = Annotated[int, Meta(ge=0, le=65535, description="a port number from 0 to 65535")]
Seconds = Annotated[
    float,
    Meta(gt=0, le=MAX_SECONDS, description="a number of seconds above 0, at most a year"),
]
SecondsOrZero = Annotated[
    float, Meta(ge=0, le=MAX_SECONDS, description="a number of seconds from 0 to a year")
]
KeptSeconds = Annotated[
    float,
    Meta(ge=0, le=MAX_KEPT_SECONDS, description="a number of seconds from 0 to a hundred years"),
]
Count = Annotated[
    int, Meta(ge=1, le=MAX_COUNT, description=f"a whole number from 1 to {MAX_COUNT}")
]
CountOrZero = Annotated[
    int, Meta(ge=0, le=MAX_COUNT, description=f"a whole number from 0 to {MAX_COUNT}")
]
PruneBatch = Annotated[int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10000")]
Bytes = Annotated[
    int, Meta(ge=1, le=MAX_BYTES, description=f"a whole number of bytes from 1 to {MAX_BYTES}")
]
MessageBytes = Annotated[
    int,
    Meta(ge=1, le=MAX_MESSAGE_BYTES, description="a whole number of bytes from 1 to 134217728"),
]
Prefetch = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
HeartbeatSeconds = Annotated[
    int, Meta(ge=1, le=3600, description="a whole number of seconds from 1 to 3600")
]
Host = Annotated[str, Meta(min_length=1, description="a host name or an address, not empty")]
StoreUrl = Annotated[str, Meta(min_length=1, description="a url, not empty")]
Texts = Annotated[tuple[str, ...], Meta(description="a list of strings")]
SomeTexts = Annotated[
    tuple[str, ...], Meta(min_length=1, description="a list of at least one string")
]
TextTable = Annotated[dict[str, str], Meta(description="a table whose values are strings")]
Namespace = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z",
        description="1 to 64 letters, digits, '_', '-' and '.'",
    ),
]
