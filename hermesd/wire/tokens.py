"""Tokens: the right to report on one run of one job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hermesd.core.job import Token
from hermesd.wire.fields import MAX_HELD, at_most, bad, short_text
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

MAX_LEASE: Final = 2**63 - 1  # what a store's integer column holds


def token_from_proto(message: pb.Token, field: str) -> Token:
    """One token; its job id must not be empty."""
    job_id, lease = message.job_id, message.lease
    if lease > MAX_LEASE:
        raise bad(f"{field}.lease", f"must be at most {MAX_LEASE}, got {lease}")
    return Token(short_text(job_id, f"{field}.job_id"), lease)


def tokens_to_proto(tokens: Iterable[Token]) -> list[pb.Token]:
    """Many tokens, in order."""
    return [pb.Token(job_id=token.job_id, lease=token.lease) for token in tokens]


def tokens_from_proto(messages: Sequence[pb.Token], field: str) -> tuple[Token, ...]:
    """Many tokens, in order; at most MAX_HELD of them."""
    return tuple(token_from_proto(each, field) for each in at_most(messages, field, MAX_HELD))
