"""The client of a command: where the api is, and what its faults mean for the exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import click

from hermesd.cli import exits
from hermesd.cli.exits import Failed
from hermesd.cli.options import URL_KEY
from hermesd.cli.settings import Settings
from hermesd.client import (
    ApiError,
    BadAnswer,
    Client,
    ClientError,
    ConnectionFailed,
    RejectedError,
    UnavailableError,
    UnknownOutcomeError,
    WaitTimeout,
)
from hermesd.config import ApiSection
from hermesd.config.load import build, read_document
from hermesd.core.errors import ConfigError

RETRIES: Final = 3  # somebody may be waiting at a terminal
_MAX_TOLD: Final = 10
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}


@contextmanager
def connected(settings: Settings) -> Iterator[Client]:
    """A client of the api that --url or the configuration names; its faults become Failed."""
    with Client(api_url(settings), retries=RETRIES) as client:
        try:
            yield client
        except ClientError as fault:
            raise ended_by(fault) from fault


def api_url(settings: Settings) -> str:
    """What --url or HERMES_URL said, else the address in the configuration."""
    url: str | None = click.get_current_context().meta.get(URL_KEY)
    if url:
        return url if "://" in url else f"http://{url}"
    try:
        # The files with secrets, which the daemon alone may be able to read, are of no use here.
        return configured_url(build(read_document(settings.config_paths, os.environ)).api)
    except ConfigError as error:
        problems = [*error.problems, "(or say where the api is by --url or HERMES_URL)"]
        raise ConfigError(problems) from error


def configured_url(api: ApiSection) -> str:
    """How the api of this configuration is reached from its own machine."""
    host = _ANYWHERE.get(api.host, api.host)
    scheme = "https" if api.tls_cert_file else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{api.port}"


def ended_by(fault: ClientError) -> Failed:
    """The end of the command that `fault` makes."""
    if isinstance(fault, WaitTimeout):
        return Failed(exits.TRY_AGAIN, fault.detail, {"slug": "wait-timeout", "job": fault.job})
    if isinstance(fault, BadAnswer):
        return Failed(exits.PROTOCOL, fault.detail, {"slug": "bad-answer"})
    key = {"idempotency_key": fault.idempotency_key} if fault.idempotency_key else {}
    if isinstance(fault, ConnectionFailed):
        detail = fault.detail + (_repeat_hint(fault) if fault.sent else "")
        return Failed(exits.NOT_REACHED, detail, {"slug": "connection-failed", **key})
    if isinstance(fault, ApiError):
        detail = (fault.detail or fault.title) + _reasons(fault)
        if isinstance(fault, UnknownOutcomeError):
            detail += _repeat_hint(fault)
        own = {"slug": fault.slug, "title": fault.title, "status": fault.status}
        return Failed(_api_code(fault), detail, {**fault.extra, **own, **key})
    return Failed(exits.INTERNAL, fault.detail)


def _api_code(fault: ApiError) -> int:
    if isinstance(fault, UnavailableError | UnknownOutcomeError):
        return exits.TRY_AGAIN
    if fault.status in (401, 403):
        return exits.PERMISSION
    return exits.REFUSED if isinstance(fault, RejectedError) else exits.INTERNAL


def _reasons(fault: ApiError) -> str:
    """What the problem lists beside its detail: single faults, or the values that are known."""
    errors, known = fault.extra.get("errors"), fault.extra.get("known")
    told: list[str] = []
    if isinstance(errors, list):
        told = [_reason(error) for error in errors[:_MAX_TOLD] if isinstance(error, dict)]
    elif isinstance(known, list):
        told = ["known: " + ", ".join(str(name) for name in known[:_MAX_TOLD])]
    new = [reason for reason in told if reason and reason not in fault.detail]
    return f" ({'; '.join(new)})" if new else ""


def _reason(error: Mapping[str, object]) -> str:
    """One fault of a payload (at a pointer) or of a batch (at an index)."""
    place = error.get("pointer", error.get("index", ""))
    reason = error.get("reason", error.get("detail", ""))
    return f"{place}: {reason}" if place != "" else str(reason)


def _repeat_hint(fault: ClientError) -> str:
    if not fault.idempotency_key:
        return "; it may have been done all the same"
    return (
        "; it may have been recorded: repeat it with "
        f"--idempotency-key {fault.idempotency_key} to be sure of one job"
    )
