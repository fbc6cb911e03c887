"""What must hold between keys, and of values that no single field can check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Final
from urllib.parse import urlsplit

import msgspec

from hermesd.config.check import Problem
from hermesd.config.choices import QueueKind
from hermesd.config.keys import Key
from hermesd.config.ranges import KIB, MAX_KEPT_SECONDS, MAX_SECONDS
from hermesd.config.schedule_rules import schedule_problems
from hermesd.config.sections import Config
from hermesd.core.amqp_names import Band, NamePatterns, Names, check_broker_name
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.endpoints import is_address
from hermesd.core.errors import InvalidValue
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from hermesd.core.jobtype import TypeDefaults, check_type_name
from hermesd.core.postgres_url import SCHEMES as POSTGRES_SCHEMES
from hermesd.core.postgres_url import check_postgres_url

SQLITE_PREFIX: Final = "sqlite:///"
ENVELOPE_BYTES: Final = 64 * KIB  # of a message, for all but the payload or result
_PLACEHOLDER = re.compile(r"{[a-z]+}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):(?P<port>[0-9]{1,5})\Z")
_BARE_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+)\Z")


def rule_problems(config: Config) -> list[Problem]:
    """Every rule that `config` breaks, at the key that is best changed."""
    rules = (
        _addresses,
        _tls,
        _sizes,
        _intervals,
        _http,
        _store,
        _broker,
        _broker_names,
        _queues,
        _jobs,
        _types,
        schedule_problems,
        _retention,
        _plugins,
    )
    return [problem for rule in rules for problem in rule(config)]


def _addresses(config: Config) -> Iterator[Problem]:
    api, control, worker = config.api, config.control, config.worker
    if api.port and api.port == control.port and api.host == control.host:
        yield Problem(("control", "port"), f"is api.port too ({api.port}); give them two ports")
    for endpoint in control.endpoints:
        if not is_host_port(endpoint):
            yield Problem(("control", "endpoints"), f"{endpoint[:80]!r} is not HOST:PORT")
    if worker.advertise and not (
        _BARE_HOST.match(worker.advertise)
        or is_host_port(worker.advertise)
        or is_address(worker.advertise)  # an IPv6 one as a pod is given its own
    ):
        yield Problem(
            ("worker", "advertise"), "must be HOST or HOST:PORT ([ADDRESS]:PORT for IPv6)"
        )
    for origin in api.allowed_origins:
        if not _is_origin(origin):
            reason = f"{origin[:80]!r} is no origin; write it like https://jobs.example.org"
            yield Problem(("api", "allowed_origins"), reason)


def is_host_port(text: str) -> bool:
    """Whether `text` is HOST:PORT or [IPv6 ADDRESS]:PORT with a port from 1 to 65535."""
    found = _HOST_PORT.match(text)
    return found is not None and 1 <= int(found["port"]) <= 65535


def _is_origin(text: str) -> bool:
    """RFC 6454 section 6.2: scheme, host and port, and no path."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and text == f"{parts.scheme}://{parts.netloc}"
    )


def _tls(config: Config) -> Iterator[Problem]:
    if bool(config.api.tls_cert_file) != bool(config.api.tls_key_file):
        missing = "tls_key_file" if config.api.tls_cert_file else "tls_cert_file"
        yield Problem(("api", missing), "is missing; TLS needs both tls_cert_file and tls_key_file")


def _sizes(config: Config) -> Iterator[Problem]:
    if config.http.max_body_bytes < config.api.max_payload_bytes:
        yield Problem(
            ("http", "max_body_bytes"),
            f"must be at least api.max_payload_bytes ({config.api.max_payload_bytes})",
        )
    if config.control.max_message_bytes < config.worker.max_result_bytes:
        yield Problem(
            ("control", "max_message_bytes"),
            f"must be at least worker.max_result_bytes ({config.worker.max_result_bytes})",
        )
    if config.store.max_pending < config.store.max_group:
        yield Problem(
            ("store", "max_pending"), f"must be at least store.max_group ({config.store.max_group})"
        )


def _intervals(config: Config) -> Iterator[Problem]:
    liveness, control = config.liveness, config.control
    if liveness.ttl_seconds < 2 * liveness.heartbeat_seconds:
        yield Problem(
            ("liveness", "ttl_seconds"),
            f"must be at least twice liveness.heartbeat_seconds ({liveness.heartbeat_seconds:g}), "
            "so that one lost heartbeat evicts nobody",
        )
    if control.retry_max_seconds < control.retry_min_seconds:
        yield Problem(
            ("control", "retry_max_seconds"),
            f"must be at least control.retry_min_seconds ({control.retry_min_seconds:g})",
        )


def _http(config: Config) -> Iterator[Problem]:
    """The HTTP server's struct knows no ranges, since it knows nothing of this package."""
    for name, value in msgspec.structs.asdict(config.http).items():
        if isinstance(value, float) and not 0 < value <= MAX_SECONDS:
            yield Problem(("http", name), "must be a number of seconds above 0, at most a year")
        elif isinstance(value, int) and value < 1:
            yield Problem(("http", name), "must be a whole number of 1 or more")


def _store(config: Config) -> Iterator[Problem]:
    url = config.store.url
    scheme = url.partition(":")[0][:40]
    if scheme in POSTGRES_SCHEMES:
        try:
            check_postgres_url(url)
        except InvalidValue as exc:
            yield Problem(("store", "url"), exc.detail)
    elif not url.startswith(SQLITE_PREFIX) or url == SQLITE_PREFIX:
        reason = (
            f"no store speaks {scheme!r}; write sqlite:////ABSOLUTE/PATH, sqlite:///RELATIVE or "
            "postgresql://USER@HOST:PORT/DATABASE"
        )
        yield Problem(("store", "url"), reason)


def _broker(config: Config) -> Iterator[Problem]:
    queue = config.queue
    if queue.url:
        try:
            tls = AmqpUrl.parse(queue.url).tls
        except InvalidValue as exc:
            yield Problem(("queue", "url"), exc.detail)
        else:
            if queue.ca_file and not tls:
                yield Problem(("queue", "ca_file"), "is of use to an amqps:// url only")
    elif queue.kind is QueueKind.AMQP:
        reason = "is missing; queue.kind 'amqp' needs one like amqp://USER@HOST/VHOST"
        yield Problem(("queue", "url"), reason)
    size, name = max(
        (config.worker.max_result_bytes, "worker.max_result_bytes"),
        (config.api.max_payload_bytes, "api.max_payload_bytes"),
        key=itemgetter(0),
    )
    if queue.kind is QueueKind.AMQP and queue.max_message_bytes < size + ENVELOPE_BYTES:
        reason = f"must be at least {ENVELOPE_BYTES} more than {name} ({size})"
        yield Problem(("queue", "max_message_bytes"), reason)


def _broker_names(config: Config) -> Iterator[Problem]:
    """Whatever the namespace and the declared queues put into the patterns."""
    patterns, seen = config.queue.names, dict[str, str]()
    names = Names.of(config.queue.namespace, patterns)
    for field in NamePatterns.__struct_fields__:
        key = ("queue", "names", field)
        made = [getattr(names, field)]
        if field == "queue":
            if not {"{queue}", "{band}"} <= set(_PLACEHOLDER.findall(patterns.queue)):
                yield Problem(key, "must have {queue} and {band} in it")
                continue
            queues = [name for name in config.queues if _QUEUE_NAME.match(name)]
            made = [names.queue_of(queue, band) for queue in queues for band in Band]
        # Exchanges and queues may share a name, but then people mix them up.
        yield from (Problem(key, reason) for reason in _clashes(made, field, seen))


def _clashes(made: list[str], field: str, seen: dict[str, str]) -> Iterator[str]:
    """The first thing that is wrong with the names of one pattern."""
    for name in made:
        try:
            check_broker_name(name)
        except InvalidValue as exc:
            yield exc.detail
            return
        if name in seen:
            yield f"makes {name!r}, as queue.names.{seen[name]} does"
            return
        seen[name] = field


def _queues(config: Config) -> Iterator[Problem]:
    for name in config.queues:
        if not _QUEUE_NAME.match(name):
            reason = "a queue's name has 1 to 100 letters, digits, '_', '-' and '.'"
            yield Problem(("queues", name), reason)
    seen = set()
    for name in config.worker.queues:
        if name not in config.queues:
            yield Problem(("worker", "queues"), _undeclared(name, config))
        elif name in seen:
            yield Problem(("worker", "queues"), f"{name!r} is listed twice")
        seen.add(name)


def _undeclared(name: str, config: Config) -> str:
    known = ", ".join(sorted(config.queues))
    return f"no queue {name[:80]!r} is declared (known: {known}; declare it as [queues.NAME])"


def _jobs(config: Config) -> Iterator[Problem]:
    jobs = config.jobs
    if jobs.timeout_seconds > jobs.max_timeout_seconds:
        yield Problem(
            ("jobs", "timeout_seconds"),
            f"must be at most jobs.max_timeout_seconds ({jobs.max_timeout_seconds:g})",
        )


def _types(config: Config) -> Iterator[Problem]:
    for name, defaults in config.jobs.types.items():
        key = ("jobs", "types", name)
        yield from _type_name(key)
        yield from _type_defaults(config, key, defaults)


def _type_name(key: Key) -> Iterator[Problem]:
    try:
        check_type_name(key[-1])
    except InvalidValue as exc:
        yield Problem(key, exc.detail)


def _type_defaults(config: Config, key: Key, defaults: TypeDefaults) -> Iterator[Problem]:
    limit = config.jobs.max_timeout_seconds
    if defaults.queue is not None and defaults.queue not in config.queues:
        yield Problem((*key, "queue"), _undeclared(defaults.queue, config))
    if defaults.priority is not None and not (
        LOWEST_PRIORITY <= defaults.priority <= HIGHEST_PRIORITY
    ):
        yield Problem((*key, "priority"), "must be from 0 to 10")
    if defaults.timeout is not None and not 0 < defaults.timeout <= limit:
        reason = f"must be above 0 and at most jobs.max_timeout_seconds ({limit:g})"
        yield Problem((*key, "timeout"), reason)
    for name in ("max_attempts", "crash_limit"):
        value = getattr(defaults, name)
        if value is not None and value < 1:
            yield Problem((*key, name), "must be 1 or more")


def _retention(config: Config) -> Iterator[Problem]:
    for name, retention in config.retention.types.items():
        key = ("retention", "types", name)
        yield from _type_name(key)
        for field, value in msgspec.structs.asdict(retention).items():
            if value is not None and not 0 <= value <= MAX_KEPT_SECONDS:
                reason = "must be a number of seconds from 0 to a hundred years"
                yield Problem((*key, field), reason)


def _plugins(config: Config) -> Iterator[Problem]:
    for name in sorted(set(config.plugins.enabled) & set(config.plugins.disabled)):
        yield Problem(("plugins", "disabled"), f"{name!r} is in plugins.enabled too; keep one")
