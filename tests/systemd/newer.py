"""The same package with a higher version; only what dpkg reads of it is another.

A .deb is an ar archive of three members, of which control.tar is the second (deb(5)).
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAGIC: Final = b"!<arch>\n"
HEADER_BYTES: Final = 60


def with_version(package: Path, version: str, out: Path) -> Path:
    """Write it; the answer is its path."""
    control = subprocess.run(
        ["dpkg-deb", "--ctrl-tarfile", str(package)], capture_output=True, check=True
    ).stdout
    members = list(_members(package.read_bytes()))
    changed = _changed(control, version)
    with out.open("wb") as file:
        file.write(MAGIC)
        for name, content in members:
            is_control = name.startswith("control.tar")
            _write(file, *(("control.tar", changed) if is_control else (name, content)))
    return out


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    place = len(MAGIC)
    while place < len(archive):
        header = archive[place : place + HEADER_BYTES]
        size = int(header[48:58])
        place += HEADER_BYTES
        yield header[:16].decode().strip().rstrip("/"), archive[place : place + size]
        place += size + size % 2


def _write(file: io.BufferedWriter, name: str, content: bytes) -> None:
    file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
    file.write(content + b"\n" * (len(content) % 2))


def _changed(control: bytes, version: str) -> bytes:
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(control)) as old,
        tarfile.open(fileobj=out, mode="w") as new,
    ):
        for member in old:
            file = old.extractfile(member) if member.isfile() else None
            content = file.read() if file else b""
            if member.name == "./control":
                lines = content.decode().splitlines(keepends=True)
                lines = [f"Version: {version}\n" if "Version: " in x[:9] else x for x in lines]
                content = "".join(lines).encode()
                member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return out.getvalue()
