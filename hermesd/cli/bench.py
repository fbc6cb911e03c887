"""`hermesd bench`: load on a running deployment, and how it did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import click

from hermesd.cli import exits
from hermesd.cli.connection import api_url, ended_by
from hermesd.cli.exits import Failed
from hermesd.cli.options import Priority, json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.submit import read_payload
from hermesd.core.errors import InvalidValue

if TYPE_CHECKING:
    import msgspec

    from hermesd.bench import Plan, Report, Share

V = TypeVar("V")

DEFAULT_SECONDS: Final = 10.0
DEFAULT_BURST: Final = 10_000
DEFAULT_WAIT_SECONDS: Final = 120.0
_LEAST_PAYLOAD: Final = len(b'{"data":""}')


class Weighted(click.ParamType["Share"], Generic[V]):
    """VALUE, or VALUE=WEIGHT for a mix; `inner` reads the value."""

    name = "value[=weight]"

    def __init__(self, inner: click.ParamType[V] | None = None) -> None:
        self._inner = inner

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Share:
        """The value and its weight, 1 where none is given."""
        from hermesd.bench import Share

        if isinstance(value, Share):
            return value
        text, equals, number = value.rpartition("=")
        try:
            weight = float(number) if equals else 1.0
        except ValueError:
            self.fail(f"{number!r} in {value!r} is no weight.", param, ctx)
        name = text if equals else number
        inner: Any = self._inner.convert(name, param, ctx) if self._inner else name
        return Share(inner, weight)


@click.command(short_help="Put load on a running deployment and report how it did.")
@click.argument("mode", type=click.Choice(["single", "batch", "burst"]), default="single")
@click.option(
    "-t",
    "--type",
    "types",
    type=Weighted(),
    multiple=True,
    required=True,
    metavar="TYPE[=WEIGHT]",
    help="A job type; several make a mix, as in noop=3.",
)
@click.option(
    "--priority",
    "priorities",
    type=Weighted(Priority()),
    multiple=True,
    metavar="0-10|LEVEL[=WEIGHT]",
    help="Likewise; else each type's own.",
)
@click.option("--payload", metavar="JSON|@FILE|-", help="The payload of every job; else {}.")
@click.option(
    "--payload-bytes",
    type=click.IntRange(min=_LEAST_PAYLOAD),
    help='Or one of this size: {"data": "xxx..."}.',
)
@click.option(
    "-c", "--connections", type=int, default=32, show_default=True, help="Not for a burst."
)
@click.option("--batch", type=int, default=500, show_default=True, help="Jobs in one batch.")
@click.option("-n", "--jobs", type=int, help=f"End after so many; a burst has {DEFAULT_BURST}.")
@click.option(
    "-d",
    "--duration",
    type=float,
    metavar="SECONDS",
    help=f"End after so long; {DEFAULT_SECONDS:.0f} s unless --jobs is given.",
)
@click.option("--rate", type=float, metavar="JOBS/S", help="At most so many a second.")
@click.option("--retries", type=int, default=8, show_default=True, help="Repeats of one submit.")
@click.option(
    "--keys/--no-keys",
    default=None,
    help="Idempotency keys, so that unanswered submits are repeated; a burst has them.",
)
@click.option("--timeout", type=float, default=30.0, show_default=True, metavar="SECONDS")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    is_flag=False,
    flag_value=DEFAULT_WAIT_SECONDS,
    metavar="[SECONDS]",
    help=f"Wait until all jobs have ended, {DEFAULT_WAIT_SECONDS:.0f} s unless told.",
)
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Plot the latencies.")
@json_option
@click.pass_obj
def bench(settings: Settings, /, svg: Path | None, **options: Any) -> int:
    """Put load on the api that --url or the configuration names, and report how it did.

    MODE is single (one job a request, the default), batch, or burst (all submits at once, each on
    a connection of its own). Refused and unanswered submits are repeated with backoff where that
    is safe, and all are counted. The jobs are real: use a type that does no harm.

    The exit code is 0 when every job was accepted (and, with --wait, has ended), 1 when some were
    not, 75 when they had not ended in time, 130 after Ctrl-C, which ends the load with a report.
    """
    screen = Screen.of(settings)
    report = _measured(_plan(api_url(settings), **options), screen)
    if svg is not None:
        from hermesd.bench import latency_plot

        svg.write_text(latency_plot(report), encoding="utf-8")
    if screen.as_json:
        screen.emit(report)
    else:
        _show(screen, report)
    return _exit_code(screen, report, waited=options["wait_seconds"] is not None)


def _plan(
    url: str,
    *,
    mode: str,
    jobs: int | None,
    duration: float | None,
    rate: float | None,
    payload: str | None,
    payload_bytes: int | None,
    keys: bool | None,
    timeout: float,
    **same: Any,
) -> Plan:
    from hermesd.bench import Mode, Plan

    burst = mode == "burst"
    if jobs is None and burst:
        jobs = DEFAULT_BURST
    if jobs is None and duration is None:
        duration = DEFAULT_SECONDS
    return Plan(
        url=url,
        mode=Mode(mode),
        jobs=jobs,
        duration_seconds=duration,
        jobs_per_second=rate,
        payload=_payload(payload, payload_bytes),
        keys=burst if keys is None else keys,
        timeout_seconds=timeout,
        **same,
    )


def _payload(text: str | None, size_bytes: int | None) -> msgspec.Raw:
    import msgspec

    if size_bytes is not None:
        if text is not None:
            raise InvalidValue("--payload and --payload-bytes are two ways to say one thing")
        return msgspec.Raw(b'{"data":"%s"}' % (b"x" * (size_bytes - _LEAST_PAYLOAD)))
    given = read_payload(text)
    return given if isinstance(given, msgspec.Raw) else msgspec.Raw(b"{}")


def _measured(plan: Plan, screen: Screen) -> Report:
    import trio

    from hermesd.bench import measure
    from hermesd.client import ClientError

    try:
        if screen.as_json or not sys.stderr.isatty():
            return trio.run(measure, plan)
        from hermesd.cli.load_progress import progress

        with progress(plan) as show:
            return trio.run(measure, plan, show)
    except ClientError as fault:
        raise ended_by(fault) from fault


def _show(screen: Screen, report: Report) -> None:
    recorded = report.recorded
    screen.record(
        [
            ("mode", str(report.mode)),
            ("took", f"{report.seconds:,.2f} s"),
            ("requests", f"{report.requests:,} ({report.requests_per_second:,.0f}/s)"),
            ("accepted", f"{report.accepted_jobs:,} jobs ({report.accepted_per_second:,.0f}/s)"),
            ("recorded", f"{recorded.jobs_per_second:,.0f} jobs/s" if recorded else ""),
            ("ended in", _counts(recorded.states) if recorded else ""),
            ("p50", _latency(report, report.latency.p50_ms)),
            ("p95", _latency(report, report.latency.p95_ms)),
            ("p99", _latency(report, report.latency.p99_ms)),
            ("max", _latency(report, report.latency.max_ms)),
            ("retries", _counts(report.retries)),
        ]
    )
    if report.errors:
        rows = [(kind, f"{count:,}") for kind, count in report.errors.items()]
        screen.table(("error", "requests"), rows, nothing="")


def _latency(report: Report, milliseconds: float) -> str:
    return f"{milliseconds:,.2f} ms" if report.accepted_jobs else ""


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _exit_code(screen: Screen, report: Report, *, waited: bool) -> int:
    if report.interrupted:
        screen.note("interrupted: the report is of what there was until then")
        return exits.INTERRUPTED
    if waited and report.recorded is None:
        raise Failed(exits.TRY_AGAIN, "not all jobs had ended in time", {"slug": "wait-timeout"})
    return exits.REFUSED if report.errors else exits.OK
