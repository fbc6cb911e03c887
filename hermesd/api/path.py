"""The way to one worker's dispatch address, and what each try tells about delivery."""

from __future__ import annotations

from enum import Enum
from urllib.parse import quote

import msgspec

from hermesd.core.errors import InvalidValue
from hermesd.core.fleet import DispatchAnswer, DispatchBatch, ProbeAnswer
from hermesd.http.client import Asked, HttpConnection, HttpResponse
from hermesd.http.errors import ConnectFailed, ConnectRefused, Unanswered

_JSON = ((b"Content-Type", b"application/json"),)


class Fate(Enum):
    """What is known after a try."""

    ANSWERED = "answered"
    NOT_TAKEN = "not taken"  # surely nothing of this try was taken
    UNKNOWN = "unknown"
    ANOTHER = "another incarnation"  # the one that was meant is dead


class Try(msgspec.Struct, frozen=True):
    """One try: its fate, the answer to a dispatch that was answered, else the reason."""

    fate: Fate
    answer: DispatchAnswer | None = None
    reason: str = ""
    refused: bool = False  # nothing listens at the address


class DispatchPath:
    """Speaks POST /dispatch and GET /probe over one keep-alive connection; one call at a time."""

    def __init__(self, address: str, incarnation: str):
        self._incarnation = incarnation
        self._connection = HttpConnection(*host_and_port(address))
        self._encoder = msgspec.json.Encoder()
        self._answers = msgspec.json.Decoder(DispatchAnswer)
        self._probes = msgspec.json.Decoder(ProbeAnswer)

    def encode(self, batch: DispatchBatch) -> bytes:
        """The body of a dispatch, the same for every repetition."""
        return self._encoder.encode(batch)

    @property
    def ready(self) -> bool:
        """Whether a connection is open, so that `begin` need not wait for one."""
        return self._connection.ready

    async def dispatch(self, body: bytes, seconds: float) -> Try:
        """Offer a batch."""
        return self._tried(await self._request("POST", "/dispatch", body, seconds))

    def begin(self, body: bytes) -> Asked | None:
        """Offer a batch without a wait; `hear` of it comes next. None where nothing was sent."""
        return self._connection.ask("POST", "/dispatch", body, _JSON)

    async def hear(self, asked: Asked, seconds: float) -> Try | None:
        """What became of an offer; None where that is open still: `hear` again, or `give_up`."""
        try:
            response = await self._connection.hear(asked, seconds)
        except Unanswered as error:
            return Try(Fate.UNKNOWN, reason=str(error))
        return None if response is None else self._tried(response)

    def give_up(self) -> Try:
        """Wait no longer for what was offered."""
        self._connection.drop()
        return Try(Fate.UNKNOWN, reason="no answer in time")

    def _tried(self, answered: HttpResponse | Try) -> Try:
        """What an answer to a batch says."""
        if isinstance(answered, Try):
            return answered
        status, content = answered.status, answered.body
        try:
            if status == 200:
                return Try(Fate.ANSWERED, self._answers.decode(content))
            if status == 409:
                return self._refusal(content)
        except msgspec.MsgspecError as error:
            return Try(Fate.UNKNOWN, reason=f"unreadable answer: {error}")
        # Any other refusal is not of this batch but of the request: a limit, or no worker's answer.
        fate = Fate.NOT_TAKEN if 400 <= status < 500 else Fate.UNKNOWN
        return Try(fate, reason=f"status {status}")

    async def probe(self, seconds: float) -> Try:
        """Ask who answers at the address."""
        target = f"/probe?incarnation={quote(self._incarnation, safe='')}"
        answered = await self._request("GET", target, b"", seconds)
        if isinstance(answered, Try):
            return answered
        try:
            found = self._probes.decode(answered.body)
        except msgspec.MsgspecError:
            return Try(Fate.UNKNOWN, reason=f"no worker answers there (status {answered.status})")
        if found.incarnation != self._incarnation:
            return Try(Fate.ANOTHER, reason=f"incarnation {found.incarnation} answers there")
        return Try(Fate.ANSWERED)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def _request(
        self, method: str, target: str, body: bytes, seconds: float
    ) -> HttpResponse | Try:
        try:
            return await self._connection.request(method, target, body, _JSON, seconds)
        except ConnectRefused as error:
            return Try(Fate.NOT_TAKEN, reason=str(error), refused=True)
        except (ConnectFailed, ValueError) as error:  # ValueError: a name that no resolver takes
            return Try(Fate.NOT_TAKEN, reason=str(error))
        except Unanswered as error:
            return Try(Fate.UNKNOWN, reason=str(error))

    def _refusal(self, content: bytes) -> Try:
        """A 409 carries a ProbeAnswer: who refuses."""
        found = self._probes.decode(content)
        if found.incarnation != self._incarnation:
            return Try(Fate.ANOTHER, reason=f"incarnation {found.incarnation} answers there")
        return Try(Fate.NOT_TAKEN, reason="the worker refused the batch")


def host_and_port(address: str) -> tuple[str, int]:
    """A worker's dispatch address taken apart; raises InvalidValue where nobody could dial it."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and host.isascii() and port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidValue(f"{address[:80]!r} is no dispatch address: host:port in ASCII")
    return host, int(port)
