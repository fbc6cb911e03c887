"""The ports that the daemon listens on, and the address by which apis dial a worker."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar, TypeVarTuple

import trio

from hermesd.cli.doctor.apis import control_fault
from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, skipped, warn
from hermesd.cli.doctor.holders import asked, holder_of
from hermesd.cli.doctor.patient import Patient
from hermesd.core.endpoints import join_endpoint, split_endpoint

V = TypeVar("V")
ArgsT = TypeVarTuple("ArgsT")

PORTS = "ports"
ADVERTISE = "advertise"
SYSTEMD: Final = 1  # its process
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Wanted(NamedTuple):
    """A port under its section's name; `scheme` is how hermesd could be asked there, if at all."""

    section: str
    host: str
    port: int
    scheme: str

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.section}: {join_endpoint(self.host, self.port)}"


async def ports(patient: Patient) -> Findings:
    """Whether each can be listened on, or who does so already."""
    return [await _port(wanted, patient) for wanted in _wanted(patient)]


def _wanted(patient: Patient) -> Iterator[Wanted]:
    config = patient.config
    if patient.role.serves_api:
        scheme = "https" if config.api.tls_cert_file else "http"
        yield Wanted("api", config.api.host, config.api.port, scheme)
        yield Wanted("control", config.control.host, config.control.port, "")
    if patient.role.works:
        yield Wanted("worker", config.worker.host, config.worker.port, "http")


async def _port(wanted: Wanted, patient: Patient) -> Finding:
    if wanted.port == 0:
        return ok(PORTS, f"{wanted.section}: any free port")
    try:
        await _in_thread(_bind, wanted.host, wanted.port)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", 0) == errno.EADDRINUSE:
            return await _held(wanted, patient)
        return _refused(wanted, error)
    return ok(PORTS, f"{wanted.told} is free")


async def _in_thread(look: Callable[[*ArgsT], V], *args: *ArgsT) -> V:
    return await trio.to_thread.run_sync(look, *args, abandon_on_cancel=True)


def _bind(host: str, port: int) -> None:
    """As the daemon will, but without listening; raises OSError."""
    places = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tried.bind(place)


def _refused(wanted: Wanted, error: OSError | UnicodeError) -> Finding:
    seen = f"{wanted.told}: {getattr(error, 'strerror', None) or error}"
    if isinstance(error, PermissionError):
        remedy = "set it to 1024 or more, or give the unit CAP_NET_BIND_SERVICE"
        return fail(PORTS, seen, f"{wanted.section}.port: {remedy}")
    return fail(PORTS, seen, f"set {wanted.section}.host to an address of this machine")


async def _held(wanted: Wanted, patient: Patient) -> Finding:
    holder = await _in_thread(holder_of, wanted.port)
    if holder is not None and holder.pid == SYSTEMD:
        return ok(PORTS, f"{wanted.told} is held by a socket unit of systemd")
    running = await _running(wanted, patient)
    if running:
        by = f", {holder.told}" if holder is not None else ""
        return ok(PORTS, f"{wanted.told} is held by {running}{by}")
    by = holder.told if holder is not None else "another process (root may see which)"
    remedy = f"stop it, or set {wanted.section}.port (see: ss -ltnp 'sport = :{wanted.port}')"
    return fail(PORTS, f"{wanted.told} is held by {by}", remedy)


async def _running(wanted: Wanted, patient: Patient) -> str:
    """Which hermesd answers there, empty where none does."""
    place = join_endpoint(_EVERYWHERE.get(wanted.host, wanted.host), wanted.port)
    seconds = patient.seconds / 2
    if not wanted.scheme:
        return "" if await control_fault(place, seconds) else "a running hermesd"
    answered = await _in_thread(asked, f"{wanted.scheme}://{place}", seconds)
    return answered.told if answered is not None else ""


def advertised(patient: Patient) -> Findings:
    """Whether what a worker tells the apis leads back to this machine, from theirs too."""
    if not patient.role.works:
        return [skipped(ADVERTISE, "only a worker is dialled")]
    worker = patient.config.worker
    host = _advertised_host(patient)
    try:
        places = {str(place[4][0]) for place in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError) as error:
        seen = f"{host} has no address: {getattr(error, 'strerror', None) or error}"
        return [fail(ADVERTISE, seen, "set worker.advertise to a name or address that apis know")]
    told = f"{host} ({', '.join(sorted(places))})" if places != {host} else host
    if all(ipaddress.ip_address(_bare(place)).is_loopback for place in places):
        return [_loopback(patient, told)]
    strange = sorted(place for place in places if not _is_own(place))
    if strange:
        seen = f"{told}: {', '.join(strange)} is no address of this machine"
        remedy = "set worker.advertise right, unless something forwards it to worker.host"
        return [warn(ADVERTISE, seen, remedy)]
    return [ok(ADVERTISE, f"{told}, port {worker.port or 'any'}")]


def _loopback(patient: Patient, told: str) -> Finding:
    """Good enough for an api on this machine alone."""
    config = patient.config
    hosts = [split_endpoint(endpoint)[0] for endpoint in config.control.endpoints]
    far = [host for host in hosts if not _is_near(host)]
    if not far:
        return ok(ADVERTISE, f"{told}, for apis on this machine")
    seen = f"{told} leads every api to itself, and {', '.join(far)} is another machine"
    return fail(ADVERTISE, seen, "set worker.host (and worker.advertise) to what apis can reach")


def _advertised_host(patient: Patient) -> str:
    worker = patient.config.worker
    host = worker.advertise or worker.host
    name, colon, given = host.rpartition(":")
    if colon and given.isdigit() and (":" not in name or name.startswith("[")):
        host = name
    host = host.removeprefix("[").removesuffix("]")
    return socket.getfqdn() if host in _EVERYWHERE else host


def _is_near(host: str) -> bool:
    try:
        places = {str(place[4][0]) for place in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(_is_own(place) for place in places)


def _is_own(address: str) -> bool:
    """Whether it is an address of this machine, as a socket that sends nothing finds out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError:
            return False
    return True


def _bare(address: str) -> str:
    return address.partition("%")[0]  # without the zone of a link-local one
