"""Finds, in the child, the handler that a reference names."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from hermesd.core.errors import UnknownType
from hermesd.handlers.contract import CHILD_MAIN, Handler


class Resolver:
    """Imports each module once, and each script under a name that leaves its main part out."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Handler] = {}
        self._scripts: dict[str, Mapping[str, Any]] = {}

    def find(self, reference: str, type_name: str) -> Handler:
        """The handler of `reference` (see Handler.reference); raises UnknownType with the cause."""
        key = reference, type_name
        if key not in self._found:
            self._found[key] = self._resolve(*key)
        return self._found[key]

    def _resolve(self, reference: str, type_name: str) -> Handler:
        source, _, qualname = reference.rpartition(":")
        try:
            names = self._script(source) if os.sep in source else vars(_imported(source))
        except BaseException as error:  # an import may raise anything, SystemExit too
            raise UnknownType(
                f"type {type_name!r}: {source} failed to import in the child process: "
                f"{type(error).__name__}: {error}"
            ) from error
        for candidate in (_attribute(names, qualname), *names.values()):
            if isinstance(candidate, Handler) and candidate.type.name == type_name:
                return candidate
        raise UnknownType(
            f"type {type_name!r}: {source} has no handler of it at its top level, "
            f"neither as {qualname} nor under another name"
        )

    def _script(self, path: str) -> Mapping[str, Any]:
        if path not in self._scripts:
            names = runpy.run_path(path, run_name=CHILD_MAIN)
            module = ModuleType(CHILD_MAIN)  # so that pickle and the like find its classes
            vars(module).update(names)
            sys.modules[CHILD_MAIN] = module
            self._scripts[path] = names
        return self._scripts[path]


def _imported(name: str) -> ModuleType:
    return importlib.import_module(name)


def _attribute(names: Mapping[str, Any], qualname: str) -> object:
    first, *rest = qualname.split(".")
    found = names.get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found
