"""Files below allowed directories, and none besides, whatever links there are or appear meanwhile.

A path is resolved, links included, and has to lie below a resolved root. Then the folders from the
root down are opened one by one without following links (openat(2), O_NOFOLLOW): in a resolved path
there are none, so one that is met was put there after the check, and the path is refused.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_NAME_BYTES: Final = 255  # NAME_MAX of Linux
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PathRefused(Exception):
    """The path may not be used, or is no file to be used so; the message names it and says why."""


def read_beneath(roots: Sequence[str], path: str, max_bytes: int) -> bytes:
    """The content of the regular file at `path`; raises PathRefused, or OSError on a read error."""
    with _opened_folder(roots, path) as (folder, name):
        try:
            file = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            raise PathRefused(f"{path!r} cannot be opened: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise PathRefused(f"{path!r} is not a regular file")
            with os.fdopen(file, "rb", closefd=False) as stream:
                data = stream.read(max_bytes + 1)
        finally:
            os.close(file)
    if len(data) > max_bytes:
        raise PathRefused(f"{path!r} is over the limit of {max_bytes} bytes")
    return data


def write_beneath(roots: Sequence[str], path: str, data: bytes) -> None:
    """Puts a file with `data` at `path`, durably, in place of one that may be there.

    Whoever reads the path sees the old content or the new, never a part: it is written under a
    temporary name in the same folder and renamed. The folder must be there. Raises PathRefused, or
    OSError where the disk does not take it.
    """
    with _opened_folder(roots, path) as (folder, name):
        if _is_folder(name, folder):
            raise PathRefused(f"{path!r} is a folder")
        temporary = f".hermesd.{secrets.token_hex(8)}.tmp"
        file = os.open(temporary, _CREATE, 0o666, dir_fd=folder)  # the umask decides
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def check_beneath(roots: Sequence[str], path: str) -> None:
    """Raises PathRefused where `write_beneath` would for the path's sake."""
    with _opened_folder(roots, path):
        pass


@contextmanager
def _opened_folder(roots: Sequence[str], path: str) -> Iterator[tuple[int, str]]:
    """The folder that `path` is in, as a descriptor, and the name in it."""
    root, relative = _located(roots, path)
    try:
        folder = os.open(root, _FOLDER)
    except OSError as error:
        raise PathRefused(f"the allowed root of {path!r} cannot be opened") from error
    try:
        for part in relative.parent.parts:
            try:
                below = os.open(part, _FOLDER, dir_fd=folder)
            except OSError as error:
                raise PathRefused(f"{path!r}: its folder cannot be opened") from error
            os.close(folder)
            folder = below
        yield folder, relative.name
    finally:
        os.close(folder)


def _located(roots: Sequence[str], path: str) -> tuple[Path, Path]:
    """The root that `path` lies below and its way from there, both resolved."""
    if not roots:
        raise PathRefused(
            "paths are not allowed: plugins.settings.resize-image.allowed_roots names no folder"
        )
    if not path.startswith("/") or "\0" in path:
        raise PathRefused(f"{path!r} is not an absolute path")
    if len(os.fsencode(path.rpartition("/")[2])) > _MAX_NAME_BYTES:
        raise PathRefused(f"{path!r}: its name is too long")
    try:
        resolved = Path(path).resolve()
        if resolved.is_symlink():  # in a loop of links, where CPython 3.13 and later gives up
            raise PathRefused(f"{path!r} cannot be resolved")
        for root in (Path(root).resolve() for root in roots):
            if resolved != root and resolved.is_relative_to(root):
                return root, resolved.relative_to(root)
    except (OSError, RuntimeError) as error:  # a loop of links; a name that is too long
        raise PathRefused(f"{path!r} cannot be resolved") from error
    raise PathRefused(f"{path!r} is not below an allowed root")


def _is_folder(name: str, folder: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
