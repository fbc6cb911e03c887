"""The packages of the environment that this hermesd lives in, changed by the pip in it.

What hermesd itself needs stays as it is: a plugin that wants other versions is refused by pip, with
its reasons, instead of breaking the daemon.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hermesd.cli import exits
from hermesd.cli.exits import Failed

OURS: Final = "hermesd"
TIMEOUT_SECONDS: Final = 900.0
SHOWN_LINES: Final = 15
_PROGRESS: Final = (
    "Looking in",
    "Processing",
    "Collecting",
    "Requirement already",
    "  Using cached",
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def install(requirement: str, *, wheels: Path | None = None, upgrade: bool = False) -> list[str]:
    """Install `requirement` (a name, with a version perhaps, or a path) and what it needs.

    `wheels` is a folder of them, in place of the index. The answer is the name of the distribution
    that was asked for; none if it was there already. Raises Failed, with what pip says.
    """
    with tempfile.TemporaryDirectory(prefix="hermesd-") as folder:
        constraints, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
        constraints.write_text("".join(f"{line}\n" for line in fixed_versions()))
        words = ["--constraint", str(constraints), "--report", str(report)]
        words += ["--upgrade"] * upgrade
        if wheels is not None:
            words += ["--no-index", "--find-links", str(wheels)]
        _pip("install", *words, "--", requirement)
        found = json.loads(report.read_bytes())["install"]
    return [canonical(each["metadata"]["name"]) for each in found if each["requested"]]


def remove(distribution: str) -> None:
    """Remove one distribution; what came along with it stays. Raises Failed."""
    _pip("uninstall", "--yes", "--", distribution)


def fixed_versions(root: str = OURS) -> list[str]:
    """`NAME==VERSION` of `root` and of all that it needs, directly or not, as far as installed."""
    found: dict[str, str] = {}
    waiting = [root]
    while waiting:
        name = canonical(waiting.pop())
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra, or of another system
        found[name] = distribution.version
        waiting += _names(distribution.requires or ())
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements: Iterable[str]) -> Sequence[str]:
    return [match[0] for each in requirements if (match := _NAME.match(each))]


def _pip(*words: str) -> None:
    if importlib.util.find_spec("pip") is None:
        raise Failed(exits.NO_INPUT, f"{sys.prefix} has no pip: install the plugin by other means")
    site = sysconfig.get_path("purelib")
    if not os.access(site, os.W_OK):
        raise Failed(exits.PERMISSION, f"{site} cannot be written: run this as its owner (root?)")
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(exits.TRY_AGAIN, f"pip has not ended in {TIMEOUT_SECONDS:.0f} s") from None
    if ended.returncode:
        raise Failed(exits.REFUSED, f"pip {words[0]} failed:\n" + _end(ended.stdout))


def _end(text: str) -> str:
    """The last lines, which give the reasons; not what it says of its progress."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join([line for line in lines if not line.startswith(_PROGRESS)][-SHOWN_LINES:])
