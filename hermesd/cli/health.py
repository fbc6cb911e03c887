"""`hermesd health`: how the daemon on this host is, for what watches over its container."""

from __future__ import annotations

import http
import http.client
import os
import ssl
from typing import Final
from urllib.parse import urlsplit

import click

from hermesd.cli import exits
from hermesd.cli.connection import configured_url
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import Config, load
from hermesd.core.endpoints import join_endpoint

ROLES: Final = ("api", "worker")
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_DEFAULT_SECONDS: Final = 3.0


@click.command()
@click.option(
    "--role",
    type=click.Choice(ROLES),
    help="Which role to ask.  [default: the api, and the worker where no api answers]",
)
@click.option("--ready", is_flag=True, help="Ask whether it takes jobs, not only whether it lives.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Wait no longer than so for an answer.",
)
@json_option
@click.pass_obj
def health(settings: Settings, role: str | None, ready: bool, timeout_seconds: float) -> None:
    """Ask the daemon on this host how it is.

    It is asked where the configuration has it listen. Exit code 0: well, 75: not ready, 69: no
    answer.
    """
    screen, config = Screen.of(settings), load(settings.config_paths, os.environ)
    path = "/ready" if ready else "/health"
    told = []
    for each in (role,) if role is not None else ROLES:
        url = _url(config, each) + path
        try:
            status = _asked(url, timeout_seconds)
        except (OSError, http.client.HTTPException) as fault:
            told.append(f"{url}: {getattr(fault, 'strerror', None) or fault or 'no answer'}")
            continue
        _judge(url, status)
        if screen.as_json:
            screen.emit({"role": each, "url": url, "status": status})
        else:
            screen.line(f"{each}: {'ready' if ready else 'ok'}")
        return
    raise Failed(exits.NOT_REACHED, "; ".join(told), {"slug": "connection-failed"})


def _url(config: Config, role: str) -> str:
    if role == "api":
        return configured_url(config.api)
    host, port = config.worker.host, config.worker.port
    return f"http://{join_endpoint(_ANYWHERE.get(host, host), port)}"


def _asked(url: str, seconds: float) -> int:
    """The status of the answer; raises OSError or HTTPException where there is none."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # The certificate is for the name that clients use; nothing is told but the question.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    finally:
        connection.close()


def _judge(url: str, status: int) -> None:
    """Raises Failed for what is no good answer."""
    members = {"slug": "not-healthy", "status": status}
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        raise Failed(exits.TRY_AGAIN, f"{url} answers that it is not ready", members)
    if status != http.HTTPStatus.OK:
        raise Failed(exits.PROTOCOL, f"{url} answers with {status}", members)
