"""The apis that a worker calls, and the clock of the one that answers clients."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

import trio

from hermesd.bridge.grpc_link import open_control_link
from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, skipped, warn
from hermesd.cli.doctor.holders import Answered, asked
from hermesd.cli.doctor.patient import Patient
from hermesd.config import ControlSection
from hermesd.core.endpoints import split_endpoint
from hermesd.core.errors import HermesError, Unavailable
from hermesd.core.notes import NoteBatch
from hermesd.daemon.names import SystemResolver

ENDPOINTS = "endpoints"
CLOCK = "clock"
MAX_ADDRESSES: Final = 16
SKEW_SECONDS: Final = 2.0  # a Date has whole seconds
MAX_SKEW_SECONDS: Final = 60.0


async def endpoints(patient: Patient) -> Findings:
    """Whether every address of control.endpoints leads to an api."""
    if not patient.role.works:
        return [skipped(ENDPOINTS, "only a worker calls them")]
    control = patient.config.control
    if patient.role.serves_api and control.endpoints == ControlSection().endpoints:
        return [skipped(ENDPOINTS, "the daemon is its own api")]
    found: list[Finding] = []
    async with trio.open_nursery() as nursery:
        for endpoint in control.endpoints[:MAX_ADDRESSES]:
            nursery.start_soon(_endpoint, endpoint, patient, found)
    return sorted(found, key=lambda finding: finding.seen)


async def _endpoint(endpoint: str, patient: Patient, found: list[Finding]) -> None:
    try:
        addresses = await SystemResolver().addresses(*split_endpoint(endpoint))
    except Unavailable as error:
        found.append(fail(ENDPOINTS, f"{endpoint}: {error.detail}", _remedy(endpoint)))
        return
    found += [await _address(endpoint, address, patient) for address in addresses[:MAX_ADDRESSES]]


async def _address(endpoint: str, address: str, patient: Patient) -> Finding:
    where = endpoint if endpoint == address else f"{endpoint} at {address}"
    seconds = min(patient.config.control.call_timeout_seconds, patient.seconds / 2)
    begun = trio.current_time()
    if fault := await control_fault(address, seconds):
        return fail(ENDPOINTS, f"{where}: {fault}", _remedy(endpoint))
    milliseconds = (trio.current_time() - begun) * 1000
    return ok(ENDPOINTS, f"{where}: an api answers within {milliseconds:.0f} ms")


async def control_fault(address: str, seconds: float) -> str:
    """Why no api answers there, empty where one does: it is sent news of no job, which are none."""
    try:
        async with open_control_link(address, call_timeout_seconds=seconds) as link:
            await link.note(NoteBatch(incarnation="doctor", notes=()))
    except HermesError as error:
        return error.detail.removeprefix(f"{address}: ")
    return ""


def _remedy(endpoint: str) -> str:
    return (
        f"start the api there with control.host set so that it is reached from here, let port "
        f"{split_endpoint(endpoint)[1]} through firewalls, or set control.endpoints right"
    )


def clock(patient: Patient) -> Findings:
    """This machine's clock against the Date of the api's answers (RFC 9110 section 6.6.1)."""
    before = time.time()
    answered = asked(patient.url, patient.seconds / 2)
    if answered is None:
        why = f"no api answers at {patient.url} (--url says where one is)"
        return [skipped(CLOCK, why)]
    if not answered.date:
        return [skipped(CLOCK, f"what answers at {patient.url} tells no time")]
    return [_skew(answered, before, time.time(), patient.url)]


def _skew(answered: Answered, before: float, after: float, url: str) -> Finding:
    theirs = parsedate_to_datetime(answered.date).timestamp()
    # It was made at some moment in between, and says the second that had begun.
    skew = max(theirs - after, before - (theirs + 1), 0.0)
    if skew <= SKEW_SECONDS:
        return ok(CLOCK, f"the same as that of the api at {url}, to the second")
    seen = f"{skew:.0f} s {'behind' if theirs > after else 'ahead of'} that of the api at {url}"
    judge = fail if skew > MAX_SKEW_SECONDS else warn
    return judge(CLOCK, seen, "let both machines keep time by NTP: timedatectl set-ntp true")
