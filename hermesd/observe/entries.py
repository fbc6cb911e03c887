"""Log events as entries of the systemd journal, with every field under a name of its own.

Sources: systemd.journal-fields(7) for the well-known names, syslog(3) for the priorities.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.typing import EventDict, Processor, WrappedLogger

from hermesd.observe.journal import Fate, Journal, encoded
from hermesd.observe.message_ids import MESSAGE_IDS

IDENTIFIER: Final = "hermesd"
PREFIX: Final = "HERMES_"
MAX_FIELDS: Final = 100
MAX_FIELD_CHARS: Final = 32_000
MAX_LINE_CHARS: Final = 8_000
MAX_NAME_CHARS: Final = 64  # the journal takes no longer one
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_PLACED: Final = frozenset({"warning", "error", "critical"})
_PLACES: Final = {"pathname": "CODE_FILE", "lineno": "CODE_LINE", "func_name": "CODE_FUNC"}
# In no field of their own: they are in others, or the journal's own.
_APART: Final = frozenset({"event", "level", "timestamp", "exception", "_record"})
_PLAIN: Final = re.compile(r"[^\s\"=]+")


def fields_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an event whose values are bounded already.

    MESSAGE says all that the event does, for people; HERMES_JOB_ID and the like are what
    `journalctl` finds it by, and HERMES_EVENT is the event without its fields.
    """
    level, name = str(event.get("level", "info")), str(event.get("event", ""))
    placed = level in _PLACED
    own = {
        key: _text(value)[:MAX_FIELD_CHARS]
        for key, value in islice(event.items(), MAX_FIELDS)
        if key not in _APART and value is not None and not (placed and key in _PLACES)
    }
    fields = {
        "MESSAGE": _message(name, own, str(event.get("exception", ""))),
        "PRIORITY": str(PRIORITIES.get(level, PRIORITIES["info"])),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        f"{PREFIX}EVENT": name,
    }
    if (message_id := MESSAGE_IDS.get(name)) is not None:
        fields["MESSAGE_ID"] = message_id
    if placed:
        for key, place in _PLACES.items():
            if key in event:
                fields[place] = str(event[key])
    for key, text in own.items():
        fields[field_name(key)] = text
    return fields


@lru_cache(maxsize=1024)
def field_name(key: str) -> str:
    """HERMES_JOB_ID for job_id; whatever the key, the journal takes it."""
    return (PREFIX + re.sub(r"[^A-Z0-9_]", "_", key.upper()))[:MAX_NAME_CHARS]


def _message(name: str, own: Mapping[str, str], exception: str) -> str:
    told = [name, *(f"{key}={_quoted(text)}" for key, text in own.items())]
    line = " ".join(told)[:MAX_LINE_CHARS]
    return f"{line}\n{exception}" if exception else line


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


class ToJournal:
    """The last processor of a log that goes to the journal.

    What the journal has no room for is counted, and told of when it has some again.
    Where there is no journal the event becomes what `instead` makes of it, for another output.
    """

    def __init__(self, journal: Journal, instead: Processor) -> None:
        self._journal = journal
        self._instead = instead
        self._lost = 0

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> Any:
        """Raises DropEvent where nothing is left to be written."""
        if self._lost:
            self._tell_lost()
        fate = self._journal.send(encoded(fields_of(event)))
        if fate is Fate.GONE:
            for key in _PLACES:
                event.pop(key, None)
            return self._instead(logger, method, event)
        if fate is Fate.FULL:
            self._lost += 1
        raise structlog.DropEvent

    def _tell_lost(self) -> None:
        lost = self._lost
        event = {"event": "log lines lost", "level": "warning", "lines": lost}
        if self._journal.send(encoded(fields_of(event))) is Fate.SENT:
            self._lost -= lost


def placed() -> Callable[[WrappedLogger, str, EventDict], MutableMapping[str, Any]]:
    """A processor that says of warnings and errors where they come from; of others it costs much.

    See CODE_FILE and its like in systemd.journal-fields(7). What only writes for others is no such
    place.
    """
    adder = CallsiteParameterAdder(
        {CallsiteParameter.PATHNAME, CallsiteParameter.LINENO, CallsiteParameter.FUNC_NAME},
        additional_ignores=["hermesd.observe."],
    )

    def add(logger: WrappedLogger, method: str, event: EventDict) -> MutableMapping[str, Any]:
        return adder(logger, method, event) if event.get("level") in _PLACED else event

    return add
