"""The section of a schedule."""

from __future__ import annotations

from typing import Any

import msgspec

from hermesd.core.errors import InvalidValue
from hermesd.core.schedule import ScheduleDefinition, ScheduleTerms


class ScheduleSection(ScheduleTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[schedules.NAME]`: a schedule that is made at start; see `ScheduleTerms`."""

    payload: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def definition(self) -> ScheduleDefinition:
        """The same with the payload as a JSON text; raises InvalidValue where it is none."""
        terms = {name: getattr(self, name) for name in ScheduleTerms.__struct_fields__}
        try:
            payload = msgspec.json.encode(self.payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidValue(f"payload: it is not JSON: {error}") from error
        return ScheduleDefinition(payload=msgspec.Raw(payload), **terms)
