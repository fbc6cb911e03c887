"""The generated parts, each between its markers in the guide."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from hermesd.observe.described import Described, api_metrics, process_metrics, worker_metrics
from hermesd.observe.message_ids import MESSAGE_IDS

from .configured import Entry, Key, tables

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = ROOT / "packaging" / "README.md"
RULES: Final = ROOT / "packaging" / "prometheus" / "hermesd.rules.yml"
CATALOG: Final = ROOT / "systemd" / "hermesd.catalog"
PART = re.compile(r"(<!-- made by `make docs`: (\w+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def renewed(text: str) -> str:
    """The guide with its generated parts as they should be; KeyError for a part that is unknown."""
    return PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", text)


def keys() -> str:
    """Each key with its default and meaning."""
    return "\n".join(_keys())


def _keys() -> Iterator[str]:
    for table in tables():
        yield f"#### `[{table.section}]`\n"
        if table.prose:
            yield table.prose + "\n"
        yield "| key and default | after a reload | meaning |"
        yield "|---|---|---|"
        yield from (_row(_names(entry), _when(entry), entry.prose) for entry in table.entries)
        yield ""


def _names(entry: Entry) -> str:
    return "<br>".join(map(_name, entry.keys))


def _name(key: Key) -> str:
    return f"`{key.name}`{' like' if key.is_example else ' ='} `{key.value}`"


def _when(entry: Entry) -> str:
    restart = {key.needs_restart for key in entry.keys}
    if len(restart) > 1:
        return "<br>".join("restart" if key.needs_restart else "in effect" for key in entry.keys)
    return "restart" if restart == {True} else "in effect"


def of_api() -> str:
    """The metrics of an api."""
    return _metrics(api_metrics())


def of_worker() -> str:
    """Those of a worker."""
    return _metrics(worker_metrics())


def of_process() -> str:
    """Those of any process."""
    return _metrics(process_metrics())


def _metrics(metrics: Iterable[Described]) -> str:
    rows = (
        _row(f"`{each.name}`", each.kind, " ".join(f"`{n}`" for n in each.labels), each.meaning)
        for each in metrics
    )
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows, ""])


def alerts() -> str:
    """Each under the heading that its runbook annotation names."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found = (rule for group in groups for rule in group["rules"] if "alert" in rule)
    return "\n".join(map(_alert, found))


def _alert(rule: Mapping[str, Any]) -> str:
    told = {name: _without_templates(text) for name, text in rule["annotations"].items()}
    after = f", once it has held for {rule['for']}" if "for" in rule else ""
    return (
        f"#### {rule['alert']}\n\n"
        f"*{rule['labels']['severity']}{after}.* {told['summary']} {told['description']}\n\n"
        f"**What to do:** {told['remedy']}\n"
    )


def _without_templates(text: str) -> str:
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda label: label[1].upper(), text)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "N", " ".join(text.split()))


def messages() -> str:
    """What has an id in the journal, and what the catalog calls it."""
    subjects = dict(
        re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.+)$", CATALOG.read_text(), re.MULTILINE)
    )
    rows = (
        _row(f"`{event}`", subjects[identity], f"`{identity}`")
        for event, identity in MESSAGE_IDS.items()
    )
    return "\n".join(["| `HERMES_EVENT` | | `MESSAGE_ID` |", "|---|---|---|", *rows, ""])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "keys": keys,
    "api_metrics": of_api,
    "worker_metrics": of_worker,
    "process_metrics": of_process,
    "alerts": alerts,
    "messages": messages,
}
