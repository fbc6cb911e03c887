"""`hermesd jobs cancel` and `retry` of many jobs, by filters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from hermesd.cli.connection import connected
from hermesd.cli.filters import filters_of
from hermesd.cli.parts import confirm, counted_jobs, rest_of, shown
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.client import Changed, JobSelection
from hermesd.client.bulk import cancel_jobs


class Many(NamedTuple):
    """What is done to them, its participle, and the client's method."""

    name: str
    done: str
    ask: Callable[..., Changed]

    def carry_out(
        self, settings: Settings, *, dry_run: bool, yes: bool, everything: bool, **chosen: Any
    ) -> int:
        """Count, ask on a terminal, do it, tell; the exit code."""
        screen = Screen.of(settings)
        selection = cast(JobSelection, {**filters_of(chosen), "everything": everything})
        cancel_jobs(selection, dry_run=True)  # refuses nothing at all, and contradictions
        with connected(settings) as client:
            if dry_run:
                return self._tell(screen, self.ask(client, dry_run=True, **selection), "would be ")
            matched: int | None = None
            if not yes and sys.stdin.isatty():
                matched = self.ask(client, dry_run=True, **selection).matched
                question = f"{self.name.capitalize()} {counted_jobs(matched)}?"
                confirm(question, f"nothing was {self.done}")

            def total() -> int:
                if matched is not None:
                    return matched
                return self.ask(client, dry_run=True, **selection).matched

            with shown(screen, self.name, total) as on_part:
                answer = self.ask(client, on_part=on_part, **selection)
        return self._tell(screen, answer)

    def _tell(self, screen: Screen, answer: Changed, would: str = "") -> int:
        if screen.as_json:
            screen.emit({name: getattr(answer, name) for name in ("matched", "changed", "skipped")})
        else:
            count = answer.matched if would else answer.changed
            screen.line(f"{counted_jobs(count)} {would}{self.done}")
            if answer.skipped:
                screen.note(f"{counted_jobs(answer.skipped)} had moved on meanwhile")
        return rest_of(screen, answer)
