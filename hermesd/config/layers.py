"""Configuration files and the environment laid over one another, with the origin of each value."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hermesd.config.keys import Key
from hermesd.core.errors import ConfigError

DEFAULT_ORIGIN: Final = "default"
MAX_FILE_BYTES: Final = 4 * 1024 * 1024

_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z")


@dataclass(frozen=True)
class Layer:
    """One source: what to call it, the folder that its relative paths start from, its values."""

    origin: str
    folder: Path
    tree: Mapping[str, Any]


@dataclass(frozen=True)
class Document:
    """All layers as one tree; `sources` gives the layer that each value came from."""

    tree: dict[str, Any] = field(default_factory=dict)
    sources: dict[Key, Layer] = field(default_factory=dict)

    def source_of(self, key: Key) -> Layer | None:
        """The layer of the value at `key`, else of anything near it (below, then above)."""
        while key:
            for known, layer in reversed(self.sources.items()):
                if known[: len(key)] == key:
                    return layer
            key = key[:-1]
        return next(reversed(self.sources.values()), None)

    def origin_of(self, key: Key) -> str:
        """Where exactly this value came from, or that it is the default."""
        layer = self.sources.get(key)
        return layer.origin if layer else DEFAULT_ORIGIN


def stacked(layers: Sequence[Layer]) -> Document:
    """The layers merged key by key, later ones over earlier ones; a list is replaced whole."""
    document = Document()
    for layer in layers:
        _lay(document, document.tree, layer, layer.tree, ())
    return document


def _lay(
    document: Document, into: dict[str, Any], layer: Layer, tree: Mapping[str, Any], key: Key
) -> None:
    for name, value in tree.items():
        here = (*key, name)
        if isinstance(value, Mapping):
            if not isinstance(into.get(name), dict):
                if name in into:
                    _forget(document, here)
                into[name] = {}
                document.sources[here] = layer
            _lay(document, into[name], layer, value, here)
        else:
            if name in into:
                _forget(document, here)
            into[name] = value
            document.sources[here] = layer


def _forget(document: Document, key: Key) -> None:
    for known in [known for known in document.sources if known[: len(key)] == key]:
        del document.sources[known]


def read_layer(path: Path) -> Layer:
    """The TOML file at `path`; raises ConfigError that names the file, line and column."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as exc:
        reason = "there is no such file (write one with `hermesd config init`)"
        raise ConfigError([f"{path}: {reason}"]) from exc
    except OSError as exc:
        reason = f"cannot be read: {exc.strerror} (check its mode, its owner and its folder's)"
        raise ConfigError([f"{path}: {reason}"]) from exc
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: is over {MAX_FILE_BYTES} bytes"])
    return Layer(str(path), path.absolute().parent, _parsed(path, data))


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError([f"{path}: line {line}: is not UTF-8 text (save it as UTF-8)"]) from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{path}: {_placed(str(exc), text)}"]) from exc
    except RecursionError as exc:
        raise ConfigError([f"{path}: is nested too deeply"]) from exc


def _placed(message: str, text: str) -> str:
    found = _POSITION.search(message)
    if not found:
        return f"is not TOML: {message}"
    line = found["line"] or text.count("\n") + 1
    column = found["column"] or len(text) - (text.rfind("\n") + 1) + 1
    return f"line {line}, column {column}: is not TOML: {message[: found.start()]}"
