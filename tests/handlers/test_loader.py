"""Plugins found, loaded, quarantined: with distributions that are made on the spot."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from hermesd.core.job import Job, Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.handlers import Handler, hookimpl, job
from hermesd.handlers.catalogue import Catalogue
from hermesd.handlers.loader import EMBEDDED, load_plugins

Install = Callable[..., None]

GOOD = """
    from hermesd.handlers import job, hookimpl

    @job({type!r})
    def handler(payload: int) -> int:
        return payload

    @hookimpl
    def hermesd_handlers():
        return [handler]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Makes a distribution of one module with one entry point, importable during the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)

    def install(name: str, source: str, *, points: str | None = None, version: str = "1.0") -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = f"{name} = {name}" if points is None else points
        (info / "entry_points.txt").write_text(f"[hermesd.plugins]\n{points}\n")
        importlib.invalidate_caches()

    yield install
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


def made(type_name: str) -> Handler:
    """A handler of its own."""

    @job(type_name)
    def fn(payload: Any) -> str:
        return type_name

    return fn


def offering(name: str, *handlers: Any) -> ModuleType:
    """A plugin module that offers these handlers."""
    module = ModuleType(name)

    @hookimpl
    def hermesd_handlers() -> list[Any]:
        return list(handlers)

    module.hermesd_handlers = hermesd_handlers  # type: ignore[attr-defined]  # a module made here
    return module


def reason_of(catalogue: Catalogue, name: str) -> str:
    """Why a plugin was quarantined; it must have been."""
    (plugin,) = [each for each in catalogue.plugins if each.name == name]
    assert plugin.status == "quarantined"
    assert any(repr(name) in problem for problem in catalogue.problems)
    return plugin.reason


def test_an_installed_plugin_is_loaded(install: Install) -> None:
    """With its distribution, version and types named."""
    install("good_plugin", GOOD.format(type="good.type"), version="2.3")
    catalogue = load_plugins()
    (plugin,) = [each for each in catalogue.plugins if each.name == "good_plugin"]
    assert (plugin.distribution, plugin.version) == ("good_plugin", "2.3")
    assert (plugin.status, plugin.types) == ("loaded", ("good.type",))
    handler = catalogue.get("good.type")
    assert handler is not None
    assert handler(7) == 7
    assert handler.reference == "good_plugin:handler"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no luck')", "failed to import: RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "failed to import: SystemExit: 3"),
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "no hermesd hook"),
        ("def hermesd_handlers(): return []", "@hookimpl missing"),
        (GOOD.format(type="two words"), "failed to import: InvalidValue"),
        ("{hook}\ndef hermesd_handlers(): return 3", "gave int 3"),
        ("{hook}\ndef hermesd_handlers(): return [print]", "no @job"),
        ("{hook}\ndef hermesd_handlers(): raise OSError('x')", "hooks failed: OSError: x"),
        ("{hook}\ndef hermesd_handlers(): raise SystemExit", "hooks failed: SystemExit"),
        ("{hook}\ndef hermesd_handlers(more): return []", "hooks failed: PluginValidationError"),
        ("{hook}\ndef hermesd_other(): return []", "no hook of hermesd"),
        ("{hook}\nasync def hermesd_handlers(): return []", "is async"),
    ],
)
def test_a_broken_plugin_is_quarantined_and_named_while_others_load(
    install: Install, source: str, reason: str
) -> None:
    """Whatever is wrong with it, the daemon gets its catalogue."""
    hook = "from hermesd.handlers import hookimpl\n@hookimpl"
    install("bad_plugin", source.replace("{hook}", hook))
    install("good_plugin", GOOD.format(type="good.type"))
    catalogue = load_plugins()
    assert reason in reason_of(catalogue, "bad_plugin")
    assert catalogue.get("good.type") is not None


def test_a_distribution_with_unreadable_entry_points_is_named(install: Install) -> None:
    """It would stop importlib.metadata.entry_points, and so pluggy."""
    install("bad_plugin", "", points="this is no entry point")
    install("good_plugin", GOOD.format(type="good.type"))
    catalogue = load_plugins()
    assert "metadata cannot be read" in reason_of(catalogue, "bad_plugin")
    assert catalogue.get("good.type") is not None


def test_an_entry_point_may_name_a_handler_itself(install: Install) -> None:
    """A plugin of one handler needs no hook."""
    install("one", GOOD.format(type="one.type"), points="one = one:handler")
    assert load_plugins().get("one.type") is not None


def test_a_plugin_earlier_on_the_path_shadows_its_other_version(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One distribution in two versions is one plugin, and no conflict."""
    install("good_plugin", GOOD.format(type="good.type"), version="2.0")
    older = tmp_path / "older"
    info = older / "good_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: good-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hermesd.plugins]\nold = good_plugin\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    names = [each.name for each in load_plugins().plugins]
    assert "good_plugin" in names
    assert "old" not in names


def test_two_installed_plugins_that_claim_one_type_both_stay_out(install: Install) -> None:
    """Each is told of the other."""
    install("plugin_a", GOOD.format(type="same.type"))
    install("plugin_b", GOOD.format(type="same.type"))
    catalogue = load_plugins()
    assert catalogue.get("same.type") is None
    for name in ("plugin_a", "plugin_b"):
        reason = reason_of(catalogue, name)
        assert "'same.type'" in reason
        assert "'plugin_a'" in reason
        assert "'plugin_b'" in reason


def test_conflicts_come_out_alike_in_any_order() -> None:
    """Plugins in a chain of claims are all quarantined whole; who has no part in it loads."""
    plugins = [
        offering("a", made("x"), made("only.a")),
        offering("b", made("x"), made("y")),
        offering("c", made("y")),
        offering("d", made("z")),
    ]
    outcomes = set()
    for order in itertools.permutations(plugins):
        catalogue = load_plugins(enabled=[], extra=order)
        assert [each.name for each in catalogue.types()] == ["z"]
        outcomes.add((tuple(catalogue.plugins), tuple(catalogue.problems)))
    assert len(outcomes) == 1


def test_a_plugin_that_offers_a_type_twice_is_quarantined() -> None:
    """The conflict is its own."""
    catalogue = load_plugins(enabled=[], extra=[offering("a", made("x"), made("x"))])
    assert "more than once" in reason_of(catalogue, "a")


def test_one_handler_found_twice_is_no_conflict() -> None:
    """A plugin may be installed and handed in."""
    handler = made("x")
    catalogue = load_plugins(enabled=[], extra=[handler, offering("a", handler)])
    assert catalogue.get("x") is handler
    assert catalogue.problems == ()


def test_the_catch_all_takes_what_no_other_handler_has() -> None:
    """And two of them are a conflict like any other."""
    anything, other = made("*"), made("x")
    catalogue = load_plugins(enabled=[], extra=[anything, other])
    assert catalogue.get("x") is other
    assert catalogue.get("never.heard.of") is anything
    assert load_plugins(enabled=[], extra=[anything, made("*")]).get("never") is None


def test_without_a_catch_all_an_unknown_type_has_no_handler() -> None:
    """None, so that the caller can say so."""
    assert load_plugins(enabled=[], extra=[made("x")]).get("y") is None


def test_plugins_are_chosen_by_name(install: Install) -> None:
    """What is disabled is not even imported; a name that nobody has is a problem."""
    install("plugin_a", GOOD.format(type="a"))
    install("plugin_b", "raise RuntimeError")
    only_a = load_plugins(enabled=["plugin_a", "absent"])
    without_b = load_plugins(disabled=["plugin_b"])
    for catalogue in (only_a, without_b):
        assert catalogue.get("a") is not None
        (plugin_b,) = [each for each in catalogue.plugins if each.name == "plugin_b"]
        assert plugin_b.status == "disabled"
    assert "plugin_b" not in sys.modules
    assert any("'absent'" in problem for problem in only_a.problems)
    assert not any("plugin_" in problem for problem in without_b.problems)


def test_embedded_plugins_are_named_as_such() -> None:
    """Handlers by their type, modules by their name."""
    catalogue = load_plugins(enabled=[], extra=[made("x"), offering("mine", made("y"))])
    embedded = [each for each in catalogue.plugins if each.distribution == EMBEDDED]
    assert [(each.name, each.types) for each in embedded] == [("mine", ("y",)), ("x", ("x",))]


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    host: str
    port: int = 25


class Configured:
    """A plugin with settings."""

    handler = made("x")

    @hookimpl
    def hermesd_handlers(self) -> list[Handler]:
        return [self.handler]

    @hookimpl
    def hermesd_settings(self) -> type[msgspec.Struct]:
        return Settings


def test_a_plugins_handlers_get_its_settings() -> None:
    """The table of the configuration that is named like the plugin."""
    table = {"host": "localhost"}
    catalogue = load_plugins(enabled=[], extra=[Configured()], settings={"Configured": table})
    assert catalogue.problems == ()
    assert catalogue.settings_for(Configured.handler) == table
    assert "localhost" not in repr(catalogue)


@pytest.mark.parametrize("table", [{"host": 3}, {}, {"host": "a", "prot": 26}])
def test_a_plugin_that_refuses_its_settings_is_quarantined(table: dict[str, Any]) -> None:
    """The reason names the section of the configuration."""
    catalogue = load_plugins(enabled=[], extra=[Configured()], settings={"Configured": table})
    assert "plugins.settings.Configured: " in reason_of(catalogue, "Configured")


def test_settings_for_no_plugin_are_a_problem() -> None:
    """Most likely the name is misspelt."""
    catalogue = load_plugins(enabled=[], extra=[made("x")], settings={"emial": {}})
    assert any("'emial'" in problem for problem in catalogue.problems)
    assert catalogue.settings_for(catalogue.handlers["x"]) == {}


class Observer:
    """A plugin that only looks on."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def hermesd_job_started(self, job: Job) -> None:
        self.seen.append(job.id)

    @hookimpl
    def hermesd_job_finished(self, outcome: Outcome) -> None:
        self.seen.append(outcome.kind)


class Clumsy:
    """A plugin whose every look fails."""

    @hookimpl
    def hermesd_job_started(self, job: Job) -> None:
        raise RuntimeError("clumsy")


def test_an_observer_that_raises_is_logged_and_hurts_nobody() -> None:
    """The other observers are told all the same."""
    observer = Observer()
    catalogue = load_plugins(enabled=[], extra=[Clumsy(), observer])
    given = Job(id="j", type="x", payload=msgspec.Raw(b"1"))
    outcome = Outcome(token=Token("j", 1), kind=OutcomeKind.SUCCEEDED)
    with capture_logs() as logs:
        catalogue.observers.job_started(given)
        catalogue.observers.job_finished(given, outcome)
    assert observer.seen == ["j", OutcomeKind.SUCCEEDED]
    (entry,) = logs
    assert entry["event"] == "observer.failed"
    assert (entry["job_id"], entry["hook"]) == ("j", "hermesd_job_started")
    assert "Clumsy" in entry["plugin"]
    assert (entry["error"], Path(entry["where"].partition(":")[0]).name) == (
        "RuntimeError",
        "test_loader.py",
    )
