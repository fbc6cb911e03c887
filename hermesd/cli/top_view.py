"""Where somebody is on the screen of `hermesd top`, and what each key does there; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hermesd.cli.top_known import Known, Pane

PANES: Final = tuple(Pane)
# By the kind of thing that is chosen: what the key orders.
_ORDERS: Final = {
    "worker": {"d": "drain", "p": "pause", "r": "resume"},
    "queue": {"p": "pause", "r": "resume"},
    "job": {"c": "cancel", "R": "retry"},
}
_KINDS: Final = {
    Pane.WORKERS: "worker",
    Pane.QUEUES: "queue",
    Pane.JOBS: "job",
    Pane.FAILURES: "job",
}
_STEPS: Final = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -10, "page-down": 10}
_WHERE: Final = {"d": "a worker", "p": "a worker or queue", "r": "a worker or queue"}


@dataclass(frozen=True)
class Order:
    """What is asked of the api: `kind` is worker, queue or job, `key` names it there."""

    verb: str
    kind: str
    key: str
    shown: str

    @property
    def text(self) -> str:
        """`drain worker w1`."""
        return f"{self.verb} {self.kind} {self.shown}"


@dataclass
class View:
    """The chosen pane and rows, and what lies over them: a question, the help, an opened job."""

    pane: Pane = Pane.WORKERS
    question: Order | None = None
    helping: bool = False
    opened: str | None = None
    scroll: int = 0
    note: str = ""
    ended: bool = False
    _chosen: dict[Pane, tuple[str, int]] = field(default_factory=dict)

    def pressed(self, key: str, known: Known) -> Order | None:
        """What the key orders, once it has been agreed to; all else it does is in this view."""
        if self.question:
            return self._answered(key)
        self.note = ""
        if key == "q":
            self.ended = True
        elif self.helping or key == "?":
            self.helping = not self.helping
        elif key in _STEPS:
            self._move(_STEPS[key], known)
        elif self.opened and key in ("enter", "escape"):
            self.opened = None
        elif key in ("tab", "back-tab") and not self.opened:
            self._switch(1 if key == "tab" else -1)
        elif key == "enter":
            self._open(known)
        elif any(key in keys for keys in _ORDERS.values()):
            self._ask(key, known)
        return None

    def place(self, pane: Pane, known: Known) -> int:
        """The index of the chosen row, which stays with its thing; 0 where there is none."""
        keys = known.keys(pane)
        key, place = self._chosen.get(pane, ("", 0))
        return keys.index(key) if key in keys else max(min(place, len(keys) - 1), 0)

    def chosen(self, pane: Pane, known: Known) -> str | None:
        """What names the chosen row."""
        keys = known.keys(pane)
        return keys[self.place(pane, known)] if keys else None

    def _answered(self, key: str) -> Order | None:
        agreed, self.question = self.question, None
        if key in ("y", "Y"):
            return agreed
        self.note = "nothing was done"
        return None

    def _move(self, step: int, known: Known) -> None:
        if self.opened:
            self.scroll = max(self.scroll + step, 0)
            return
        keys = known.keys(self.pane)
        if keys:
            place = max(min(self.place(self.pane, known) + step, len(keys) - 1), 0)
            self._chosen[self.pane] = (keys[place], place)

    def _switch(self, step: int) -> None:
        self.pane = PANES[(PANES.index(self.pane) + step) % len(PANES)]

    def _open(self, known: Known) -> None:
        job_id = self.chosen(self.pane, known)
        if _KINDS[self.pane] != "job":
            self.note = "Enter opens a job: Tab leads to the jobs and failures"
        elif job_id:
            self.opened, self.scroll = job_id, 0

    def _ask(self, key: str, known: Known) -> None:
        kind = "job" if self.opened else _KINDS[self.pane]
        verb = _ORDERS[kind].get(key)
        target = self.opened or self.chosen(self.pane, known)
        if verb is None:
            self.note = f"{key} is for {_WHERE.get(key, 'a job')}: Tab leads there"
        elif target:
            self.question = Order(verb, kind, target, _shown(kind, target, known))


def _shown(kind: str, key: str, known: Known) -> str:
    """A worker by its name, since incarnations say nothing to people."""
    if kind != "worker":
        return key
    return next((each.worker_id for each in known.workers if each.incarnation == key), key)
