"""Makes all checks at once, each within its time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import trio

from hermesd.cli.doctor import (
    addresses,
    apis,
    broker,
    certificate,
    configuration,
    machine,
    plugins,
    stores,
)
from hermesd.cli.doctor.findings import Finding, Findings, fail
from hermesd.cli.doctor.patient import Patient

MAX_AT_ONCE: Final = 8


class Check(NamedTuple):
    """`look` runs in a thread that is left behind where it is too slow, `ask` in trio."""

    name: str
    look: Callable[[Patient], Findings] | None = None
    ask: Callable[[Patient], Awaitable[Findings]] | None = None


CHECKS: Final = (
    Check("configuration", configuration.sources),
    Check("secrets", configuration.secrets),
    Check("permissions", configuration.permissions),
    Check("ports", ask=addresses.ports),
    Check("certificate", certificate.certificate),
    Check("advertise", addresses.advertised),
    Check("store", stores.store),
    Check("broker", ask=broker.reached),
    Check("endpoints", ask=apis.endpoints),
    Check("clock", apis.clock),
    Check("plugins", plugins.plugins),
    Check("open files", machine.open_files),
    Check("systemd", machine.units),
)


async def examine(patient: Patient) -> list[Finding]:
    """All findings in the order of CHECKS; must run inside `open_bridge()`."""
    found: dict[str, Findings] = {}
    limiter = trio.CapacityLimiter(MAX_AT_ONCE)
    async with trio.open_nursery() as nursery:
        for check in CHECKS:
            nursery.start_soon(_make, check, patient, limiter, found)
    return [finding for check in CHECKS for finding in found[check.name]]


async def _make(
    check: Check, patient: Patient, limiter: trio.CapacityLimiter, found: dict[str, Findings]
) -> None:
    found[check.name] = _late(check.name, patient.seconds)
    with trio.move_on_after(patient.seconds):
        try:
            found[check.name] = await _made(check, patient, limiter)
        except Exception as error:  # one check that is broken must not keep the others' findings
            told = f"the check itself failed: {type(error).__name__}: {error}"
            found[check.name] = [fail(check.name, told, "report this as a defect of hermesd")]


async def _made(check: Check, patient: Patient, limiter: trio.CapacityLimiter) -> Findings:
    if check.ask is not None:
        return await check.ask(patient)
    assert check.look is not None, "a check either looks or asks"
    look = partial(check.look, patient)
    return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=limiter)


def _late(name: str, seconds: float) -> Sequence[Finding]:
    seen = f"nothing was found out within {seconds:g} s"
    return [fail(name, seen, "see what stands still there, or give it longer: --timeout SECONDS")]
