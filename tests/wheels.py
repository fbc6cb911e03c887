"""Wheels that tests make and install: small packages of others', and plugins among them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

# The code of a plugin whose jobs of type "acme.greet" answer with "hello".
GREETING: Final = """
from hermesd.handlers import hookimpl, job


@job("acme.greet")
async def greet(payload: dict[str, str]) -> str:
    return "hello"


@hookimpl
def hermesd_handlers():
    return [greet]
"""


def wheel(
    folder: Path, name: str, version: str, code: str, *metadata: str, plugin: bool = True
) -> Path:
    """A wheel (PEP 427) of one module with this code; `metadata` are further lines of it.

    A `plugin` is one by its own name.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata]
    files = {
        f"{module}.py": code,
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    if plugin:
        files[f"{info}/entry_points.txt"] = f"[hermesd.plugins]\n{name} = {module}\n"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in files.items():
            archive.writestr(each, text)
    return path
