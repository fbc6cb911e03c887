"""Replaces `KEY_file` by the secret that the file holds, and makes the paths of files absolute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hermesd.config.check import Problem
from hermesd.config.keys import Key, dotted, leaves
from hermesd.config.layers import Document
from hermesd.config.secrets import FILE_SUFFIX, is_secret, read_secret, with_password
from hermesd.config.sections import QueueSection, StoreSection
from hermesd.core.errors import InvalidValue
from hermesd.systemd import credentials_directory

FILE_KEYS: Final[tuple[Key, ...]] = (
    ("api", "tls_cert_file"),
    ("api", "tls_key_file"),
    ("queue", "ca_file"),
)
# Sections whose `password_file` belongs into their `url`, and the url that they have by default.
_URLS: Final = {"store": StoreSection().url, "queue": QueueSection().url}


def named_files(document: Document, environ: Mapping[str, str]) -> list[tuple[Key, Path]]:
    """The files of secrets and certificates that `document` names, by their keys."""
    credentials = credentials_directory(environ)
    found = []
    for key, value in leaves(document.tree):
        if isinstance(value, str) and value and _names_file(key):
            source = document.sources.get(key)
            folder = source.folder if source else Path()
            found.append((key, _place(credentials, folder, value)))
    return found


def resolve_files(document: Document, environ: Mapping[str, str]) -> list[Problem]:
    """Fill in, in `document` itself, what other files hold; what could not be is the answer."""
    problems = []
    for key, path in named_files(document, environ):
        try:
            if key in FILE_KEYS:
                _require_readable(path)
                _table(document, key)[key[-1]] = str(path)
            elif _is_password_file(key):
                _give_password(document, key[0], path)
            else:
                _replace(document, key, _secret_of(key), path)
        except InvalidValue as exc:
            problems.append(Problem(key, exc.detail))
    return problems


def _names_file(key: Key) -> bool:
    return key in FILE_KEYS or _is_password_file(key) or is_secret(_secret_of(key))


def _is_password_file(key: Key) -> bool:
    return key[0] in _URLS and key[1:] == ("password_file",)


def _place(credentials: Path | None, folder: Path, value: str) -> Path:
    """Among the credentials if it is there; a unit always has that folder, be it an empty one."""
    beside = folder / value
    if credentials is None:
        return beside
    given = credentials / value
    return beside if os.path.exists(beside) and not os.path.exists(given) else given


def _give_password(document: Document, section: str, path: Path) -> None:
    url = document.tree[section].get("url", _URLS[section])
    if isinstance(url, str):  # what else it is, the check of the shape refuses
        document.tree[section]["url"] = with_password(url, read_secret(path))


def _secret_of(key: Key) -> Key:
    name = key[-1]
    return (*key[:-1], name.removesuffix(FILE_SUFFIX)) if name.endswith(FILE_SUFFIX) else ()


def _replace(document: Document, key: Key, secret: Key, path: Path) -> None:
    table = _table(document, key)
    if secret[-1] in table:
        raise InvalidValue(f"{dotted(secret)} is given too; keep one of them")
    text = read_secret(path)
    del table[key[-1]]
    table[secret[-1]] = text
    document.sources[secret] = document.sources.pop(key)


def _require_readable(path: Path) -> None:
    if not path.is_file():
        raise InvalidValue(f"there is no file {path}")
    if not os.access(path, os.R_OK):
        raise InvalidValue(f"cannot read {path}: check its mode and owner")


def _table(document: Document, key: Key) -> dict[str, Any]:
    """The table that holds `key`, which is in the document."""
    node: dict[str, Any] = document.tree
    for name in key[:-1]:
        node = node[name]
    return node
