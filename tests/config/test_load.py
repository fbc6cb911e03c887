"""Files and the environment become one Config, or a list of everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermesd.config import Config, NamedQueue, load, validate
from hermesd.config.choices import LogLevel, QueueKind
from hermesd.config.sections import LivenessSection
from hermesd.core.amqp_names import Band, Names
from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.core.errors import ConfigError


def written(folder: Path, text: str, name: str = "hermes.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems_of(paths: list[Path], environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refusal:
        load(paths, environ or {})
    return refusal.value.problems


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    """A missing default file is no error."""
    assert load([], {}, default_path=tmp_path / "none.toml") == Config()


def test_the_default_file_is_read_if_it_is_there(tmp_path: Path) -> None:
    """Without paths the default path counts."""
    path = written(tmp_path, "[api]\nport = 1\n")
    assert load([], {}, default_path=path).api.port == 1


def test_a_missing_explicit_file_is_named(tmp_path: Path) -> None:
    """Every file that was asked for must be there, and all that lack are told."""
    missing = [tmp_path / "a.toml", tmp_path / "b.toml"]
    problems = problems_of(missing)
    assert [problem.partition(":")[0] for problem in problems] == [str(path) for path in missing]
    assert "no such file" in problems[0]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """What cannot be read is told with the system's reason."""
    assert "cannot be read: Is a directory" in problems_of([tmp_path])[0]


def test_later_files_override_earlier_ones_key_by_key(tmp_path: Path) -> None:
    """An overlay changes only what it names."""
    first = written(tmp_path, "[api]\nport = 1\nhost = 'a'\n[queues.mail]\nmax_waiting = 3", "1")
    second = written(tmp_path, "[api]\nport = 2\n[queues.mail]\ndescription = 'x'", "2")
    config = load([first, second], {})
    assert (config.api.port, config.api.host) == (2, "a")
    assert config.queues == {
        "default": NamedQueue(),
        "mail": NamedQueue(max_waiting=3, description="x"),
    }


def test_the_environment_overrides_files(tmp_path: Path) -> None:
    """Each kind of value has its spelling; what is no key's name is left alone."""
    path = written(tmp_path, "[api]\nport = 1\n")
    config = load(
        [path],
        {
            "HERMES_CONFIG": str(path),
            "HERMES_API_SERVICE_HOST": "not ours",
            "HERMES_API__PORT": " 8082 ",
            "HERMES_API__NAME": "one, two",
            "HERMES_API__HOST": '"quoted"',
            "HERMES_LOG__LEVEL": "debug",
            "HERMES_METRICS__ENABLED": "false",
            "HERMES_WORKER__QUEUES": '["a", "default"]',
            "HERMES_WORKER__LABELS": '{ zone = "b" }',
            "HERMES_QUEUES__A__MAX_WAITING": "5",
            "HERMES_JOBS__BACKOFF": '{ kind = "fixed", seconds = 9 }',
            "HERMES_JOBS__BACKOFF__SECONDS": "2",
            "HERMES_JOBS__TYPES": '{ "a.b" = { timeout = 5 } }',
            "HERMES_PLUGINS__SETTINGS__MAIL__PORT": "25",
            "HERMES_PLUGINS__SETTINGS__MAIL__SERVER": "mx.example.org",
            "HERMES_PLUGINS__SETTINGS__MAIL__PASSWORD": "123",
        },
    )
    assert (config.api.port, config.api.name, config.api.host) == (8082, "one, two", "quoted")
    assert config.log.level is LogLevel.DEBUG
    assert config.metrics.enabled is False
    assert config.worker.queues == ("a", "default")
    assert config.worker.labels == {"zone": "b"}
    assert config.queues["a"].max_waiting == 5
    assert config.jobs.backoff == Backoff(kind=BackoffKind.FIXED, seconds=2.0)
    assert config.jobs.types["a.b"].timeout == 5
    assert config.plugins.settings["mail"] == {
        "port": 25,
        "server": "mx.example.org",
        "password": "123",
    }


def test_all_problems_are_told_at_once_with_their_origin(tmp_path: Path) -> None:
    """Nobody should have to run the check once per mistake."""
    path = written(
        tmp_path,
        """
        api = { port = 99999, prot = 1, host = "" }
        [worker]
        queues = ["a", 1]
        async_slots = true
        [jobs.types."a b"]
        timout = 3
        backoff = { kind = "list" }
        [queues]
        mail = 3
        """,
    )
    environ = {"HERMES_LOG__LEVEL": "loud", "HERMES_FOO__BAR": "1", "HERMES_DRAIN__SECONDS": "nan"}
    expected = [
        f"{path}: api.port: must be a port number from 0 to 65535, got 99999",
        f"{path}: api.prot: unknown key (did you mean 'port'?)",
        f"{path}: api.host: must be a host name or an address, not empty, got ''",
        f"{path}: worker.queues: must be a list of at least one string, got a list of 2",
        f"{path}: worker.async_slots: must be a whole number from 0 to 10000000, got true",
        f"{path}: jobs.types.\"a b\".timout: unknown key (did you mean 'timeout'?)",
        f"{path}: jobs.types.\"a b\".backoff: a backoff of kind 'list' needs at least one entry "
        "in 'delays'",
        f"{path}: queues.mail: must be a table, got 3",
        "HERMES_LOG__LEVEL: log.level: must be one of 'debug', 'info', 'warning', 'error', "
        "'critical', got 'loud'",
        "HERMES_DRAIN__SECONDS: drain.seconds: must be a number of seconds from 0 to a year, "
        "got nan",
        "HERMES_FOO__BAR: foo: unknown key (known here: api, control, drain, events, http, jobs, "
        "liveness, log, metrics, plugins, queue, queues, retention, schedules, store, tracing, "
        "worker)",
    ]
    assert sorted(problems_of([path], environ)) == sorted(expected)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"[api]\nport = \n", "line 2, column 8"),
        (b"[api]\nname = 'a'\nport", "line 3, column 5"),
        (b"[api]\n[api]\n", "line 2, column 5"),
        (b"[api]\n\xff = 1\n", "line 2"),
    ],
)
def test_what_is_not_toml_is_placed(tmp_path: Path, data: bytes, place: str) -> None:
    """A syntax error tells file, line and column."""
    path = tmp_path / "hermes.toml"
    path.write_bytes(data)
    assert problems_of([path])[0].startswith(f"{path}: {place}: is not")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[liveness]\nheartbeat_seconds = 8", "liveness.ttl_seconds: must be at least twice"),
        ("[control]\nretry_min_seconds = 6", "control.retry_max_seconds: must be at least"),
        ("[control]\nport = 8081", "control.port: is api.port too (8081)"),
        ("[control]\nendpoints = ['a:b']", "control.endpoints: 'a:b' is not HOST:PORT"),
        ("[control]\nendpoints = []", "control.endpoints: must be a list of at least one"),
        ("[control]\nmax_message_bytes = 9", "control.max_message_bytes: must be at least worker"),
        ("[api]\ntls_key_file = '/dev/null'", "api.tls_key_file: there is no file /dev/null"),
        ("[api]\nallowed_origins = ['*']", "api.allowed_origins: '*' is no origin"),
        ("[api]\nallowed_origins = ['http://a/']", "api.allowed_origins: 'http://a/' is no"),
        ("[api]\nmax_payload_bytes = 9000000", "http.max_body_bytes: must be at least api.max"),
        ("[worker]\nadvertise = 'http://a'", "worker.advertise: must be HOST or HOST:PORT"),
        ("[worker]\nqueues = ['x']", "worker.queues: no queue 'x' is declared (known: default"),
        ("[worker]\nqueues = ['default', 'default']", "worker.queues: 'default' is listed twice"),
        ("[queues.'a b']", 'queues."a b": a queue\'s name has'),
        ("[store]\nurl = 'mysql://u:hidden@h/d'", "store.url: no store speaks 'mysql'"),
        (
            "[store]\nurl = 'postgresql://u:hidden@h'",
            "store.url: the store's url must end with its",
        ),
        ("[store]\nurl = 'postgresql://h/d?sslmode=on'", "store.url: the store's url has an unkn"),
        ("[store]\nmax_pending = 1", "store.max_pending: must be at least store.max_group"),
        ("[queue]\nkind = 'kafka'", "queue.kind: must be one of 'embedded', 'amqp', got 'kafka'"),
        ("[queue]\nkind = 'amqp'", "queue.url: is missing; queue.kind 'amqp' needs one like amqp:"),
        ("[queue]\nurl = 'http://h/'", "queue.url: the broker's url must begin with amqp://"),
        ("[queue]\nnamespace = ''", "queue.namespace: must be 1 to 64 letters, digits, '_', '-'"),
        ("[queue]\nnamespace = 'a b'", "queue.namespace: must be 1 to 64 letters, digits, '_',"),
        ("[queue]\nprefetch = 0", "queue.prefetch: must be a whole number from 1 to 1000, got 0"),
        ("[queue]\nheartbeat_seconds = 0", "queue.heartbeat_seconds: must be a whole number of se"),
        ("[queue]\nca_file = '/dev/nil'", "queue.ca_file: there is no file /dev/nil"),
        ("[queue]\npassword_file = '/etc/hostname'", "queue.password_file: the url names no serve"),
        (
            "[queue]\nkind = 'amqp'\nurl = 'amqp://h'\nmax_message_bytes = 1049000",
            "queue.max_message_bytes: must be at least 65536 more than worker.max_result_bytes",
        ),
        (
            "[queue.names]\nqueue = '{namespace}.{queue}'",
            "queue.names.queue: must have {queue} and {band} in it",
        ),
        ("[queue.names]\nexchange = ''", "queue.names.exchange: makes '', which is no name"),
        (
            "[queue.names]\nexchange = 'amq.x'",
            "queue.names.exchange: makes 'amq.x', which is no",
        ),
        ("[queue.names]\nexchange = '{band}'", "queue.names.exchange: makes '{band}', which is no"),
        (
            "[queue.names]\noutcomes = '{namespace}.dlq'",
            "queue.names.outcomes: makes 'hermes.dlq', as queue.names.dead_letter_queue does",
        ),
        (
            f"[queue.names]\nqueue = '{{queue}}.{{band}}.{'x' * 240}'",
            "queue.names.queue: makes a name of 257 bytes, over the 255 of AMQP",
        ),
        ("[http]\nidle_seconds = 0.0", "http.idle_seconds: must be a number of seconds above 0"),
        ("[http]\nmax_headers = 0", "http.max_headers: must be a whole number of 1 or more"),
        ("[jobs]\ntimeout_seconds = 90000", "jobs.timeout_seconds: must be at most jobs.max"),
        ("[jobs.types.'a..b']", "jobs.types.\"a..b\": 'a..b' is no job type"),
        ("[jobs.types.a]\nqueue = 'x'", "jobs.types.a.queue: no queue 'x' is declared"),
        ("[jobs.types.a]\npriority = 11", "jobs.types.a.priority: must be from 0 to 10"),
        ("[jobs.types.a]\ntimeout = 0", "jobs.types.a.timeout: must be above 0"),
        ("[retention]\nbatch = 0", "retention.batch: must be a whole number from 1 to 10000"),
        ("[retention.types.'a..b']", "retention.types.\"a..b\": 'a..b' is no job type"),
        (
            "[retention.types.a]\nfailed_seconds = -1",
            "retention.types.a.failed_seconds: must be a number of seconds from 0",
        ),
        ("[jobs.types.a]\ncrash_limit = 0", "jobs.types.a.crash_limit: must be 1 or more"),
        ("[plugins]\nenabled=['a']\ndisabled=['a']", "plugins.disabled: 'a' is in plugins.enabled"),
    ],
)
def test_a_rule_is_told_at_its_key(tmp_path: Path, text: str, problem: str) -> None:
    """Ranges and rules between keys name the key that is best changed."""
    path = written(tmp_path, text)
    (told,) = problems_of([path])
    assert told.startswith(f"{path}: {problem}")
    assert "hidden" not in told


def test_one_tls_file_is_not_enough(tmp_path: Path) -> None:
    """TLS needs both files."""
    certificate = written(tmp_path, "x", "cert.pem")
    path = written(tmp_path, f"[api]\ntls_cert_file = '{certificate}'")
    assert "api.tls_key_file: is missing" in problems_of([path])[0]


def test_a_config_made_in_a_program_is_checked_too() -> None:
    """validate() applies the rules between keys where no file was read."""
    validate(Config())
    with pytest.raises(ConfigError, match=r"default: liveness\.ttl_seconds"):
        validate(Config(liveness=LivenessSection(heartbeat_seconds=10)))


def test_the_default_queue_is_always_declared() -> None:
    """Whatever queues are named, `default` is among them."""
    assert set(Config(queues={"mail": NamedQueue()}).queues) == {"default", "mail"}


BROKER_URLS = ("amqp://u:s3cret/x@h", "amqp://u:s3cret@h/a/b", "amqp:/u:s3cret@h", "u:s3cret@h")


@pytest.mark.parametrize("url", BROKER_URLS)
def test_a_bad_broker_url_is_never_shown(tmp_path: Path, url: str) -> None:
    """Where a mark is not escaped, a password may stand anywhere."""
    for path, environ in (
        ([written(tmp_path, f"[queue]\nurl = '{url}'")], {}),
        ([], {"HERMES_QUEUE__URL": url}),
    ):
        (told,) = problems_of(path, environ)
        assert "queue.url: the broker's url" in told
        assert "cret" not in told


def test_a_broker_is_configured_by_its_url_alone(tmp_path: Path) -> None:
    """All else has defaults; the names follow the namespace."""
    path = written(tmp_path, "[queue]\nkind = 'amqp'\nurl = 'amqps://u@h/v'\nnamespace = 'shop'")
    queue = load([path], {}).queue
    assert queue.kind is QueueKind.AMQP
    names = Names.of(queue.namespace, queue.names)
    assert names.exchange == "shop.jobs"
    assert names.queue_of("mail", Band.HIGH) == "shop.mail.high"
