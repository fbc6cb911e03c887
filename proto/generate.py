"""Generate `hermesd/wire/gen` from the .proto files beside this script.

    python proto/generate.py           write what has changed
    python proto/generate.py --check   write nothing; exit 1 and name what is not current

Needs grpcio-tools, mypy-protobuf and grpclib (the `dev` extra). The generated modules are moved
under the package `hermesd.wire.gen`, so that no top-level package `hermes` is claimed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROTO_DIR = Path(__file__).resolve().parent
GEN_DIR = PROTO_DIR.parent / "hermesd" / "wire" / "gen"
PACKAGE = "hermesd.wire.gen"

_OWN_MODULE = re.compile(r"(?<![\w.])(hermes\.v\d+\.\w+_pb2)")
_TOOL_VERSION = re.compile(
    r"^# Protobuf Python Version: .*$|(?<=_runtime_version\.Domain\.PUBLIC,\n)(?: +\d+,\n)+",
    re.MULTILINE,
)


def main() -> int:
    """Run one of the two modes; the exit code of the process."""
    parser = argparse.ArgumentParser(description="Generate hermesd/wire/gen from proto/.")
    parser.add_argument("--check", action="store_true", help="only tell whether it is current")
    check = parser.parse_args().check
    fresh = generated()
    stale = outdated(fresh, GEN_DIR)
    for path in stale:
        sys.stdout.write(f"{'not current' if check else 'written'}: {path}\n")
        if not check:
            _write(path, fresh.get(path))
    return 1 if check and stale else 0


def generated() -> dict[str, str]:
    """The text of every generated file by its path below `hermesd/wire/gen`."""
    with tempfile.TemporaryDirectory() as folder:
        _run_protoc(Path(folder))
        texts = {
            path.relative_to(folder).as_posix(): _in_package(path.read_text(encoding="utf-8"))
            for path in sorted(Path(folder).rglob("*.py*"))
        }
    for path in list(texts):
        for parent in Path(path).parents:
            texts[(parent / "__init__.py").as_posix()] = f'"""Generated code ({PACKAGE})."""\n'
    return texts


def outdated(fresh: dict[str, str], folder: Path) -> list[str]:
    """Paths whose file in `folder` differs, is missing or is no longer generated.

    The versions of the tools that a file names are left out of the comparison.
    """
    present = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }
    return sorted(
        path
        for path in fresh.keys() | present.keys()
        if _comparable(fresh.get(path)) != _comparable(present.get(path))
    )


def _run_protoc(out: Path) -> None:
    scripts = sysconfig.get_path("scripts")
    sources = [str(path.relative_to(PROTO_DIR)) for path in sorted(PROTO_DIR.rglob("*.proto"))]
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I."),
            *(f"--python_out={out}", f"--grpclib_python_out={out}", f"--mypy_out=quiet:{out}"),
            *sources,
        ],
        cwd=PROTO_DIR,
        env={**os.environ, "PATH": os.pathsep.join((scripts, os.environ.get("PATH", "")))},
        check=True,
    )


def _in_package(text: str) -> str:
    return _OWN_MODULE.sub(rf"{PACKAGE}.\1", text)


def _comparable(text: str | None) -> str | None:
    return None if text is None else _TOOL_VERSION.sub("", text)


def _write(path: str, text: str | None) -> None:
    target = GEN_DIR / path
    if text is None:
        target.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
