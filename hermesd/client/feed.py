"""The event stream: Server-Sent Events (WHATWG HTML section 9.2) parsed, and when to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from hermesd.client.answers import Event
from hermesd.client.faults import BadAnswer, ClientError, ConnectionFailed
from hermesd.client.retry import Effort, RetryPolicy

MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_RETRY_SECONDS: Final = 60.0  # whatever the stream asks for
SILENCE_SECONDS: Final = 45.0  # three heartbeats of the api


@dataclass(frozen=True)
class StreamedEvent:
    """One event and its number. `gap`: others came before it that are lost to this reader."""

    seq: int
    event: Event
    gap: bool = False


@dataclass(frozen=True)
class ServerMessage:
    """One dispatched message of the stream."""

    event: str
    data: str
    last_id: str | None


class MessageParser:
    """Bytes in, messages out; raises BadAnswer for one over MAX_EVENT_BYTES."""

    def __init__(self) -> None:
        self.retry_seconds: float | None = None
        self._pending = b""
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._last_id: str | None = None

    def take(self, chunk: bytes) -> list[ServerMessage]:
        """The messages that `chunk` completes; lines end in LF or CRLF (never in a lone CR)."""
        self._pending += chunk
        *lines, self._pending = self._pending.split(b"\n")
        messages = []
        for line in lines:
            message = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if message:
                messages.append(message)
        if len(self._pending) + self._size > MAX_EVENT_BYTES:
            raise BadAnswer(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        return messages

    def _line(self, line: str) -> ServerMessage | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._last_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = min(float(value) / 1000, MAX_RETRY_SECONDS)
        return None

    def _dispatch(self) -> ServerMessage | None:
        data, event = self._data, self._event or "message"
        self._data, self._event, self._size = [], "", 0
        if not data and event == "message":
            return None
        return ServerMessage(event, "\n".join(data), self._last_id)


class Feed:
    """One reader's place in the stream, over as many connections as it takes."""

    def __init__(self, policy: RetryPolicy, *, after: int | None = None) -> None:
        self._policy = policy
        self._last = after
        self._parser = MessageParser()
        self._effort = Effort(policy, repeatable=True)

    def headers(self) -> dict[str, str]:
        """What the next connection sends; forgets what the last one left unfinished."""
        self._parser = MessageParser()
        resume = {} if self._last is None else {"last-event-id": str(self._last)}
        return {"accept": "text/event-stream", **resume}

    def take(self, chunk: bytes) -> list[StreamedEvent]:
        """The events that `chunk` completes; raises ConnectionFailed where the api dropped us."""
        if chunk:
            self._effort = Effort(self._policy, repeatable=True)
        events = []
        for message in self._parser.take(chunk):
            if message.event == "message":
                events.append(self._event(message))
            elif message.event == "lagged" and not events:
                raise ConnectionFailed("this reader was too slow for the event stream", sent=True)
        return events

    def ended(self) -> ConnectionFailed:
        """The fault of a stream that ended."""
        return ConnectionFailed("the event stream ended", sent=True)

    def pause_after(self, fault: ClientError) -> float:
        """Seconds until the next connection, not less than the stream asked; raises to give up."""
        return max(self._effort.pause_after(fault), self._parser.retry_seconds or 0.0)

    def _event(self, message: ServerMessage) -> StreamedEvent:
        try:
            seq = int(message.last_id or "")
            event = msgspec.json.decode(message.data, type=Event)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"this event stream is not hermesd's: {error}") from error
        last, self._last = self._last, seq
        return StreamedEvent(seq, event, gap=last is not None and seq != last + 1)
