"""A base image without a registry: the packages of this Debian that Python needs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

# What the Containerfile runs and libraries link to; all that these depend on comes with them.
ROOTS: Final = ("coreutils", "dash", "libc-bin", "libstdc++6", "passwd", "python3-venv", "sed")
MERGED: Final = ("bin", "lib", "lib64", "sbin")  # links into /usr, where it is merged
LEFT_OUT: Final = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/perl")
FORMAT: Final = "${Package}\t${Provides}\t${Pre-Depends},${Depends}\n"
PATIENCE_SECONDS: Final = 300.0


def make_root(folder: Path, roots: Iterable[str] = ROOTS) -> None:
    """Fill an empty folder with these packages and all that they need."""
    for name in MERGED:
        if (link := Path("/", name)).is_symlink():
            (folder / name).symlink_to(link.readlink())
    for name in ("etc", "root", "tmp", "var/lib"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    (folder / "tmp").chmod(0o1777)
    files = "\0".join(sorted(_files(needed(roots))))
    pack = ("tar", "-C", "/", "--null", "--no-recursion", "-T", "-", "-c")
    packed = subprocess.Popen(pack, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = ("tar", "-C", folder, "-x", "--keep-directory-symlink")
    unpacked = subprocess.Popen(unpack, stdin=packed.stdout)
    assert packed.stdin is not None
    packed.stdin.write(files.encode())
    packed.stdin.close()
    for process in (packed, unpacked):
        assert process.wait(PATIENCE_SECONDS) == 0


def needed(roots: Iterable[str]) -> set[str]:
    """The installed packages that these depend on, and they themselves."""
    depends = _dependencies()
    found: set[str] = set()
    more = set(roots)
    while more:
        assert (missing := more - depends.keys()) == set(), f"not installed: {missing}"
        found |= more
        more = {each for package in more for each in depends[package]} - found
    return found


def _dependencies() -> Mapping[str, set[str]]:
    """Of every installed package the installed ones that it may depend on."""
    lines = _said("dpkg-query", "-W", f"-f={FORMAT}").splitlines()
    rows = [line.split("\t") for line in lines]
    giver = {name: package for package, gives, _ in rows for name in _names(gives)}
    giver |= {package: package for package, _, _ in rows}
    return {
        package: {giver[name] for name in _names(wants) if name in giver}
        for package, _, wants in rows
    }


def _names(text: str) -> set[str]:
    """The packages in a field of relations, whatever their versions."""
    return set(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", text))


def _files(packages: Iterable[str]) -> set[str]:
    """Their files and links where they really are, relative to the root."""
    listed = _said("dpkg-query", "-L", *sorted(packages)).splitlines()
    found = set()
    for line in listed:
        if line.startswith(LEFT_OUT) or not line.startswith("/") or not os.path.lexists(line):
            continue
        path = Path(os.path.realpath(os.path.dirname(line)), os.path.basename(line))
        if path.is_symlink() or path.is_file():
            found.add(path.relative_to("/").as_posix())
    return found


def _said(*command: str) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    ).stdout
