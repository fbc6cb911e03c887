"""Changes one key of a configuration file, after the whole was checked with it."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import tomli_w

from hermesd.config.keys import Key
from hermesd.config.layers import Layer, read_layer, stacked
from hermesd.config.load import build
from hermesd.config.overrides import nested, parse_value
from hermesd.config.secrets import is_secret, without_passwords

NEW_FILE_MODE: Final = 0o644
NEW_SECRET_FILE_MODE: Final = 0o600


def set_key(target: Path, key: Key, text: str, beside: Sequence[Path] = ()) -> None:
    """Give `key` the value that `text` spells, in the file `target`, which may be a new one.

    `beside` are all files of the configuration in their order; `target` counts where it stands
    there, else as the last. Files that secrets are read from are not opened. Raises ConfigError
    and leaves everything as it was where the result would be refused; OSError where the file
    cannot be replaced. Comments in `target` are lost.
    """
    old = read_layer(target) if os.path.lexists(target) else _new_layer(target)
    addition = Layer(old.origin, old.folder, nested(key, parse_value(key, text)))
    tree = stacked([old, addition]).tree
    places = [path.resolve() for path in beside]
    layers = [read_layer(path) for path in beside]
    changed = Layer(old.origin, old.folder, tree)
    if target.resolve() in places:
        layers[places.index(target.resolve())] = changed
    else:
        layers.append(changed)
    build(stacked(layers))
    secret = is_secret(key) or without_passwords(text) != text
    mode = NEW_SECRET_FILE_MODE if secret else NEW_FILE_MODE
    replace_file(target, tomli_w.dumps(tree).encode(), new_mode=mode)


def _new_layer(path: Path) -> Layer:
    empty: dict[str, Any] = {}
    return Layer(str(path), path.absolute().parent, empty)


def replace_file(path: Path, data: bytes, *, new_mode: int = NEW_FILE_MODE) -> None:
    """Replace the file at once and durably; mode and owner stay, a symbolic link too.

    A file that is new gets `new_mode`. Raises OSError and leaves the old file as it was.
    """
    real = path.resolve()
    draft = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_after(real, file.fileno(), new_mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, real)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(real.parent)


def _take_after(path: Path, descriptor: int, new_mode: int) -> None:
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, new_mode)
        return
    mine = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (mine.st_uid, mine.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
