"""What can be configured: one frozen struct a section, with its defaults and ranges.

`etc/hermes.toml` says of every key what it means; the docstrings here say it to programmers.
Seconds are floats, sizes are bytes. An empty string means "not set".
"""

from __future__ import annotations

from typing import Any

import msgspec

from hermesd.config.choices import LogFormat, LoggedJobs, LogLevel, QueueKind
from hermesd.config.ranges import (
    MIB,
    Bytes,
    Count,
    CountOrZero,
    HeartbeatSeconds,
    Host,
    KeptSeconds,
    MessageBytes,
    Namespace,
    Port,
    Prefetch,
    PruneBatch,
    Seconds,
    SecondsOrZero,
    SomeTexts,
    StoreUrl,
    Texts,
    TextTable,
)
from hermesd.config.schedules import ScheduleSection
from hermesd.core.amqp_names import NamePatterns
from hermesd.core.backoff import Backoff
from hermesd.core.job import DEFAULT_QUEUE
from hermesd.core.jobtype import TypeDefaults
from hermesd.http.limits import HttpLimits


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of all sections."""


class ApiSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[api]`: the HTTP side of the api role.

    `name` is this api's own among several (empty: the host's name). `dispatch_wait_seconds` is how
    long a 202 waits to tell whether a worker took the job. Past `max_waiting_jobs` waiting jobs in
    all queues together, or `max_scheduled_jobs` that wait for their time, a submit is a 429; past
    `max_pending_submits` submits that wait for their commit it is a 503. TLS needs both files;
    without them the port speaks plain HTTP.
    """

    name: str = ""
    host: Host = "127.0.0.1"
    port: Port = 8081
    dispatch_wait_seconds: SecondsOrZero = 0.2
    max_batch_items: Count = 10_000
    max_waiting_jobs: Count = 10_000
    max_scheduled_jobs: Count = 1_000_000
    max_payload_bytes: Bytes = MIB
    max_pending_submits: Count = 4096
    allowed_origins: Texts = ()
    tls_cert_file: str = ""
    tls_key_file: str = ""


class ControlSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[control]`: the gRPC link; an api listens on host and port, a worker calls `endpoints`.

    Of an endpoint that is a name it calls every address that the name has.
    """

    host: Host = "127.0.0.1"
    port: Port = 50051
    endpoints: SomeTexts = ("127.0.0.1:50051",)
    max_message_bytes: Bytes = 4 * MIB
    call_timeout_seconds: Seconds = 5.0
    retry_min_seconds: Seconds = 0.1
    retry_max_seconds: Seconds = 5.0


class LivenessSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[liveness]`: heartbeats, and when a silent or refusing worker counts as gone."""

    heartbeat_seconds: Seconds = 5.0
    ttl_seconds: Seconds = 15.0
    refusal_interval_seconds: Seconds = 0.5
    probe_timeout_seconds: Seconds = 2.0
    probe_max_backoff_seconds: Seconds = 5.0


class WorkerSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[worker]`: where a worker listens, what it serves and how much at a time.

    Port 0 picks a free one. `advertise` (host or host:port) is what the apis dial, where that is
    not what the worker binds. `process_slots` 0 means as many as there are cores.
    """

    id: str = ""
    host: Host = "127.0.0.1"
    port: Port = 9001
    advertise: str = ""
    queues: SomeTexts = (DEFAULT_QUEUE,)
    async_slots: CountOrZero = 128
    thread_slots: CountOrZero = 16
    process_slots: CountOrZero = 0
    require_handlers: bool = True
    max_lost_threads: CountOrZero = 4
    max_result_bytes: Bytes = MIB
    max_unreported: Count = 10_000
    timeout_grace_seconds: SecondsOrZero = 5.0
    max_jobs_per_child: Count = 1000
    labels: TextTable = {}


class StoreSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[store]`: where jobs are kept, and the bounds of the group commit.

    `url` is `sqlite:///relative`, `sqlite:////absolute` or `postgresql://user@host:port/database`;
    after load() it holds the password that `password_file` names. `max_group` is the changes in one
    commit, `max_pending` those that wait. `busy_timeout_seconds` is how long to wait for a lock; to
    connect and to run one statement are of PostgreSQL.
    """

    url: StoreUrl = "sqlite:////var/lib/hermesd/hermes.db"
    password_file: str = ""
    max_group: Count = 500
    max_pending: Count = 20_000
    busy_timeout_seconds: SecondsOrZero = 2.0
    connect_timeout_seconds: Seconds = 5.0
    statement_timeout_seconds: Seconds = 15.0
    migrate: bool = True


class QueueSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[queue]`: the rung below push; all but `kind` is of the broker.

    `url` is an `AmqpUrl`; after load() it holds the password that `password_file` names. `ca_file`
    is the authority of an amqps:// broker's certificate (empty: the system's). `prefetch` is the
    unacknowledged messages of one consumer, `max_message_bytes` the body of one message, of a job
    or of its outcome. Jobs in a broker that was unreachable for `take_back_seconds` go back to the
    store. `consumer_timeout_seconds` is after what time the broker takes back a message that is not
    acknowledged: no longer job runs without an api.
    """

    kind: QueueKind = QueueKind.EMBEDDED
    url: str = ""
    password_file: str = ""
    ca_file: str = ""
    namespace: Namespace = "hermes"
    prefetch: Prefetch = 32
    heartbeat_seconds: HeartbeatSeconds = 10
    call_timeout_seconds: Seconds = 5.0
    take_back_seconds: Seconds = 30.0
    consumer_timeout_seconds: Seconds = 1800.0
    max_message_bytes: MessageBytes = 4 * MIB
    names: NamePatterns = NamePatterns()


class NamedQueue(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[queues.NAME]`: a declared queue; `max_waiting` 0 means no limit of its own."""

    max_waiting: CountOrZero = 0
    description: str = ""


class JobsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[jobs]`: what a job gets where neither its submit nor its type says anything.

    `types` overrides, by type name, the defaults that the type's own handler registered.
    """

    max_attempts: Count = 3
    timeout_seconds: Seconds = 300.0
    max_timeout_seconds: Seconds = 86_400.0
    max_delay_seconds: Seconds = 365 * 86_400.0
    crash_limit: Count = 3
    backoff: Backoff = Backoff()
    idempotency_ttl_seconds: Seconds = 86_400.0
    max_labels: CountOrZero = 32
    max_label_bytes: Bytes = 256
    types: dict[str, TypeDefaults] = {}


class TypeRetention(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[retention.types.NAME]`: how long finished jobs of one type are kept; None: as all others.

    The ranges are those of `[retention]`; see `rules`.
    """

    succeeded_seconds: float | None = None
    failed_seconds: float | None = None
    cancelled_seconds: float | None = None


class RetentionSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[retention]`: how long finished jobs are kept, and how many of them (0: no bound).

    Past `max_finished` the oldest go first, and failed ones (the dead-letter queue) last. Every
    `interval_seconds` what is to go is deleted, `batch` jobs in one commit.
    """

    enabled: bool = True
    succeeded_seconds: KeptSeconds = 86_400.0
    failed_seconds: KeptSeconds = 30 * 86_400.0
    cancelled_seconds: KeptSeconds = 86_400.0
    max_finished: CountOrZero = 1_000_000
    batch: PruneBatch = 500
    interval_seconds: Seconds = 10.0
    types: dict[str, TypeRetention] = {}


class DrainSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[drain]`: how long a stopping worker lets jobs end, then flushes their outcomes."""

    seconds: SecondsOrZero = 10.0
    report_seconds: SecondsOrZero = 5.0


class EventsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[events]`: events kept in memory for late readers, and readers at a time."""

    ring: Count = 100
    max_streams: Count = 100


class LogSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[log]`: what is written and how; `fleet_seconds` is between two lines on the fleet.

    `jobs` is which lines on single jobs are written. `jobs_per_second` bounds those on jobs that
    go well and, apart, those on jobs that do not; `all` has no bound.
    """

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO
    fleet_seconds: Seconds = 60.0
    jobs: LoggedJobs = LoggedJobs.AUTO
    jobs_per_second: Count = 100


class MetricsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[metrics]`: the Prometheus endpoint."""

    enabled: bool = True
    process_collectors: bool = True


class TracingSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tracing]`: OpenTelemetry; all else is by its own OTEL_* environment variables."""

    enabled: bool = False


class PluginsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[plugins]`: which are loaded (`enabled` empty: all), and the tables handed to them.

    A plugin checks its own `settings` table; here it is free. `strict` makes a plugin that cannot
    be loaded stop the daemon.
    """

    strict: bool = False
    enabled: Texts = ()
    disabled: Texts = ()
    settings: dict[str, dict[str, Any]] = {}


def _queues() -> dict[str, NamedQueue]:
    return {DEFAULT_QUEUE: NamedQueue()}


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration. `queues` always holds `default`, declared or not."""

    api: ApiSection = ApiSection()
    control: ControlSection = ControlSection()
    liveness: LivenessSection = LivenessSection()
    worker: WorkerSection = WorkerSection()
    store: StoreSection = StoreSection()
    queue: QueueSection = QueueSection()
    queues: dict[str, NamedQueue] = msgspec.field(default_factory=_queues)
    jobs: JobsSection = JobsSection()
    schedules: dict[str, ScheduleSection] = {}
    retention: RetentionSection = RetentionSection()
    drain: DrainSection = DrainSection()
    events: EventsSection = EventsSection()
    http: HttpLimits = HttpLimits()
    log: LogSection = LogSection()
    metrics: MetricsSection = MetricsSection()
    tracing: TracingSection = TracingSection()
    plugins: PluginsSection = PluginsSection()

    def __post_init__(self) -> None:
        if DEFAULT_QUEUE not in self.queues:
            complete = _queues() | self.queues
            msgspec.structs.force_setattr(self, "queues", complete)
