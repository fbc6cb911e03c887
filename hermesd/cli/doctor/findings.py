"""What a check has found."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec


class Verdict(StrEnum):
    """`warn` is what the daemon runs with all the same, `fail` what it does not do well."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at; `remedy` is a command or a key to change, if there is one."""

    check: str
    verdict: Verdict
    seen: str
    remedy: str = ""


Findings = Sequence[Finding]
CUT_AT: Final = 400  # characters of what others have said


def ok(check: str, seen: str) -> Finding:
    """It is as it should be."""
    return Finding(check=check, verdict=Verdict.OK, seen=seen)


def warn(check: str, seen: str, remedy: str) -> Finding:
    """The daemon runs with it."""
    return Finding(check=check, verdict=Verdict.WARN, seen=_cut(seen), remedy=remedy)


def fail(check: str, seen: str, remedy: str) -> Finding:
    """The daemon does not start with it, or does not do its work."""
    return Finding(check=check, verdict=Verdict.FAIL, seen=_cut(seen), remedy=remedy)


def skipped(check: str, why: str) -> Finding:
    """It does not apply, or cannot be looked at from here."""
    return Finding(check=check, verdict=Verdict.SKIPPED, seen=why)


def _cut(text: str) -> str:
    return text if len(text) <= CUT_AT else text[: CUT_AT - 1] + "…"
