"""The layers of the design hold: who may import whom, and what the pure parts must not touch."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import hermesd

ROOT = Path(hermesd.__file__).parent
GENERATED = ROOT / "wire" / "gen"

# What each package may import of the others; itself is always allowed. Strictly downward:
# cli -> daemon -> {api | worker} -> ports -> core, with the adapters beside the roles.
ALLOWED: Mapping[str, frozenset[str]] = {
    name: frozenset(others.split())
    for name, others in {
        "core": "",
        "ports": "core",
        "signal": "",
        "resting": "",
        "clock": "",
        "cron": "core",
        "systemd": "",
        "http": "",
        "handlers": "core",
        # The HTTP limits are a section of the configuration, and credentials come from systemd.
        "config": "core cron http systemd",
        "observe": "core ports config",
        "wire": "core",
        "stores": "core ports signal resting",
        "queues": "core ports signal",
        "bridge": "core ports signal wire",
        "api": "core ports signal resting cron config http observe handlers",
        "worker": "core ports signal resting config http observe handlers",
        "testing": "core ports signal stores clock",
        "client": "core",
        "bench": "core client http",
        "daemon": "core ports signal clock systemd config http observe wire handlers"
        " stores queues bridge api worker",
        # `db`, `plugins`, `broker`, `topology` and `dlq` work without a daemon.
        "cli": "core ports config client daemon handlers stores queues bridge bench",
    }.items()
}
# Nobody but the bridge, and the stubs that it is generated for, may know of asyncio.
ASYNCIO = frozenset({"asyncio", "trio_asyncio", "grpclib", "aiormq"})
CORE_BANNED = ASYNCIO | {
    "trio",
    "time",
    "datetime",
    "random",
    "secrets",
    "logging",
    "structlog",
    "os",
    "socket",
    "threading",
    "subprocess",
    "sqlite3",
    "tempfile",
}
# Calls that read a clock, and why a file may make them beside clock.py.
CLOCK_CALLS = (
    ".time.time",
    ".time.time_ns",
    ".time.monotonic",
    ".time.monotonic_ns",
    ".time.perf_counter",
    ".time.perf_counter_ns",
    ".datetime.now",
    ".datetime.utcnow",
    ".datetime.today",
    ".date.today",
)
CLOCK_READERS: Mapping[str, str] = {
    "clock.py": "the one place",
    "stores/": "measures its own commits in a thread without an event loop",
    "client/": "a library in other programs, also outside of trio",
    "cli/": "a command shows ages and takes times relative to now",
    "bench/": "measures",
}


def modules() -> list[Path]:
    """All our modules."""
    return sorted(path for path in ROOT.rglob("*.py") if GENERATED not in path.parents)


def package_of(path: Path) -> str:
    """The layer that a module belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    """A module as it is written."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that is imported anywhere in a file, with its line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            name = node.module or ""
            if name == "hermesd":
                yield from ((node.lineno, f"hermesd.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, name


def top(name: str) -> str:
    """The top-level package of a dotted name."""
    return name.partition(".")[0]


def layers() -> list[str]:
    """Every package and module right under hermesd."""
    return sorted({package_of(path) for path in modules()} - {"__init__"})


def test_every_layer_is_known() -> None:
    """A new package must say where it stands, here and in the diagram."""
    assert layers() == sorted(ALLOWED)


def test_the_diagram_names_every_layer() -> None:
    """hermesd/__init__.py is where a reader begins."""
    diagram = (hermesd.__doc__ or "").partition("The layers")[2].replace(",", " ")
    assert set(layers()) <= set(diagram.split())


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_imports_run_downward(layer: str) -> None:
    """Nobody imports what stands above or beside it."""
    breaches = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules()
        if package_of(path) == layer
        for line, name in imports(path)
        if name.startswith("hermesd.")
        and name.split(".")[1] not in ALLOWED[layer] | {layer, "__version__"}
    ]
    assert breaches == []


def test_the_layers_have_no_cycle() -> None:
    """The table itself runs downward, so that it cannot be widened into a circle."""
    left = dict(ALLOWED)
    while left:
        bottom = [name for name, below in left.items() if not below & set(left)]
        assert bottom, f"a circle among {sorted(left)}"
        for name in bottom:
            del left[name]


def test_the_roles_know_no_adapter_and_not_each_other() -> None:
    """They are handed ports."""
    banned = {"stores", "queues", "bridge", "wire", "daemon", "cli", "clock"}
    for role, other in (("api", "worker"), ("worker", "api")):
        assert not ALLOWED[role] & (banned | {other})


def test_only_the_bridge_knows_asyncio() -> None:
    """trio everywhere else."""
    breaches = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules()
        if package_of(path) != "bridge"
        for line, name in imports(path)
        if top(name) in ASYNCIO
    ]
    assert breaches == []


def test_the_core_is_pure() -> None:
    """No event loop, clock, chance, logging or operating system."""
    breaches = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules()
        if package_of(path) == "core"
        for line, name in imports(path)
        if top(name) in CORE_BANNED
    ]
    assert breaches == []


def test_one_place_reads_the_clock() -> None:
    """So that a test's clock moves everything; the exceptions have their reasons."""
    breaches = []
    for path in modules():
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(tuple(CLOCK_READERS)):
            continue
        breaches += [
            f"{place}:{node.lineno} reads {name}"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Attribute)
            and f".{(name := ast.unparse(node))}".endswith(CLOCK_CALLS)
        ]
        breaches += [
            f"{place}:{line} imports {name}" for line, name in imports(path) if name == "time"
        ]
    assert breaches == []


def test_importing_does_no_work() -> None:
    """No module calls functions of ours, opens files or starts threads when it is imported."""
    banned = {"open", "print", "exec", "eval", "__import__"}
    breaches = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}"
        for path in modules()
        for statement in tree_of(path).body
        if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in banned
    ]
    assert breaches == []


def test_no_name_says_nothing() -> None:
    """A module is named for the one thing that it does."""
    vague = {"utils", "util", "common", "helpers", "helper", "models", "types", "manager", "misc"}
    assert [path for path in modules() if path.stem in vague] == []
