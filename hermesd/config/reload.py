"""What of a changed configuration a running daemon takes over, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hermesd.config.effective import effective
from hermesd.config.keys import Key, dotted, leaves
from hermesd.config.rules import rule_problems
from hermesd.config.secrets import without_passwords
from hermesd.config.sections import Config
from hermesd.core.errors import ConfigError

# Every key stands in one of the two; a table like `queues` or `jobs.types` with all that is in it.
RELOADABLE: Final[frozenset[Key]] = frozenset(
    (section, name)
    for section, names in {
        "api": "allowed_origins dispatch_wait_seconds max_batch_items max_payload_bytes"
        " max_pending_submits max_scheduled_jobs max_waiting_jobs tls_cert_file tls_key_file",
        "control": "endpoints",
        "worker": "async_slots labels max_jobs_per_child max_lost_threads max_unreported"
        " process_slots queues thread_slots timeout_grace_seconds",
        "jobs": "backoff crash_limit idempotency_ttl_seconds max_attempts max_delay_seconds"
        " max_label_bytes max_labels max_timeout_seconds timeout_seconds types",
        "retention": "batch cancelled_seconds enabled failed_seconds interval_seconds"
        " max_finished succeeded_seconds types",
        "drain": "report_seconds seconds",
        "events": "max_streams ring",
        "http": "body_seconds header_seconds idle_seconds max_body_bytes max_connections"
        " max_header_bytes max_headers max_pipelined max_target_bytes write_seconds",
        "log": "fleet_seconds jobs jobs_per_second level",
        "metrics": "enabled",
        "store": "password_file",
        "queue": "password_file",
    }.items()
    for name in names.split()
) | {("queues",), ("schedules",)}

RESTART: Final[frozenset[Key]] = frozenset(
    (section, name)
    for section, names in {
        "api": "host name port",
        "control": "call_timeout_seconds host max_message_bytes port retry_max_seconds"
        " retry_min_seconds",
        "liveness": "heartbeat_seconds probe_max_backoff_seconds probe_timeout_seconds"
        " refusal_interval_seconds ttl_seconds",
        "worker": "advertise host id max_result_bytes port require_handlers",
        "store": "busy_timeout_seconds connect_timeout_seconds max_group max_pending migrate"
        " statement_timeout_seconds url",
        "queue": "ca_file call_timeout_seconds consumer_timeout_seconds heartbeat_seconds kind"
        " max_message_bytes names namespace prefetch take_back_seconds url",
        "log": "format",
        "metrics": "process_collectors",
        "tracing": "enabled",
        "plugins": "disabled enabled settings strict",
    }.items()
    for name in names.split()
)

_CERTIFICATE: Final = frozenset({("api", "tls_cert_file"), ("api", "tls_key_file")})


@dataclass(frozen=True)
class Reload:
    """What a configuration read anew comes to; keys are in TOML's spelling, sorted.

    `config` is what to act by: the new one, but for the keys `restart`, which stay as they were. Of
    a URL the password alone is taken over.
    """

    config: Config
    changed: tuple[str, ...]
    restart: tuple[str, ...]


def compare(current: Config, new: Config) -> Reload:
    """What is to become of `current`, by which the daemon acts, when `new` has been read.

    Raises ConfigError where what can be taken over does not go with what cannot.
    """
    fixed = RESTART if _has_tls(current) == _has_tls(new) else RESTART | _CERTIFICATE
    for section in ("store", "queue"):
        if _same_but_for_password(current, new, section):
            fixed -= {(section, "url")}
        else:
            fixed |= {(section, "password_file")}
    changed: set[str] = set()
    restart: set[str] = set()
    for key in _differences(effective(current), effective(new)):
        declared = declared_of(key)
        name = dotted(key[: len(declared) + 1])
        (restart if declared in fixed else changed).add(name)
    config = _merged(current, new, (RELOADABLE | RESTART) - fixed)
    if problems := rule_problems(config):
        why = [f"{dotted(problem.key)}: {problem.reason}" for problem in problems]
        raise ConfigError(
            [*why, f"it would hold with {', '.join(sorted(restart))}: that takes a restart"]
        )
    return Reload(config, tuple(sorted(changed)), tuple(sorted(restart)))


def declared_of(key: Key) -> Key:
    """The entry of the tables that `key` belongs to; raises KeyError where it has none."""
    for length in range(1, len(key) + 1):
        if key[:length] in RELOADABLE or key[:length] in RESTART:
            return key[:length]
    raise KeyError(f"{dotted(key)} is neither reloadable nor does it need a restart")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Key]:
    before, after = ({k: v for k, v in leaves(tree) if v != {}} for tree in (old, new))
    for key in before.keys() | after.keys():
        if key not in before or key not in after or before[key] != after[key]:
            yield key


def _merged(current: Config, new: Config, keys: Iterable[Key]) -> Config:
    taken: dict[str, dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for section, *rest in keys:
        value = getattr(new, section)
        if rest:
            taken.setdefault(section, {})[rest[0]] = getattr(value, rest[0])
        else:
            whole[section] = value
    for section, values in taken.items():
        whole[section] = msgspec.structs.replace(getattr(current, section), **values)
    return msgspec.structs.replace(current, **whole)


def _has_tls(config: Config) -> bool:
    return bool(config.api.tls_cert_file)


def _same_but_for_password(current: Config, new: Config, section: str) -> bool:
    old, other = (getattr(config, section).url for config in (current, new))
    return without_passwords(old) == without_passwords(other)
