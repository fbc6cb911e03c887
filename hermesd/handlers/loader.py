"""Finds the plugins, loads each on its own, and quarantines what cannot be used.

pluggy's loading of entry points lets one broken plugin stop the daemon, so this module walks
importlib.metadata itself. It imports plugin code, and nothing else here may: load_plugins is called
once at start.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import msgspec
import pluggy

from hermesd.core.errors import PluginError
from hermesd.handlers import hookspecs
from hermesd.handlers.catalogue import Catalogue, Observers, PluginInfo, PluginStatus, Settings
from hermesd.handlers.contract import Handler

GROUP: Final = "hermesd.plugins"
EMBEDDED: Final = "(embedded)"  # the distribution of what was handed in as `extra`


@dataclass(frozen=True, kw_only=True)
class _Plugin:
    """A plugin on its way: found (`load` set), then probed (`subject`, `handlers`) or at fault."""

    name: str
    distribution: str
    version: str
    load: Callable[[], object]
    subject: object = None
    handlers: tuple[Handler, ...] = ()
    settings: Settings = field(default_factory=dict)
    reason: str = ""
    disabled: bool = False

    @property
    def label(self) -> str:
        return f"{self.name!r} ({' '.join(filter(None, (self.distribution, self.version)))})"

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(sorted(handler.type.name for handler in self.handlers))

    @property
    def usable(self) -> bool:
        return not self.reason and not self.disabled

    def info(self) -> PluginInfo:
        status = PluginStatus.QUARANTINED if self.reason else PluginStatus.LOADED
        return PluginInfo(
            name=self.name,
            distribution=self.distribution,
            version=self.version,
            status=PluginStatus.DISABLED if self.disabled else status,
            reason=self.reason,
            types=self.types,
        )


def load_plugins(
    *,
    enabled: Sequence[str] | None = None,
    disabled: Sequence[str] = (),
    extra: Sequence[object] = (),
    settings: Mapping[str, Settings] = MappingProxyType({}),
) -> Catalogue:
    """Loads all installed plugins (entry points of group "hermesd.plugins") and `extra`.

    `enabled` names the only ones to load (None: all), `disabled` those not to, by entry point name;
    `extra` are handlers, or modules and objects with hooks, given directly. `settings` are the
    tables [plugins.settings.NAME]. A plugin that fails to import, offers no usable handlers,
    refuses its settings, or claims a type that another one claims too is quarantined whole and
    named in `problems`; of two that claim one type neither loads, in whatever order they are found.
    Raises nothing but KeyboardInterrupt.
    """
    found = [*_installed(), *_embedded(extra)]
    chosen = [_choose(plugin, enabled, disabled) for plugin in found]
    chosen = [replace(each, settings=settings.get(each.name, {})) for each in chosen]
    probed = [_probe(plugin) if plugin.usable else plugin for plugin in chosen]
    plugins = sorted(_settle_claims(probed), key=lambda each: (each.name, each.distribution))
    problems = [f"plugin {each.label}: {each.reason}" for each in plugins if each.reason]
    known = {each.name for each in plugins}
    problems += [
        f"plugin {name!r} is named in the configuration and not installed"
        for name in sorted({*(enabled or ()), *disabled, *settings} - known)
    ]
    usable = [each for each in plugins if each.usable]
    handlers = {handler.type.name: handler for each in usable for handler in each.handlers}
    return Catalogue(
        handlers=MappingProxyType(handlers),
        settings=MappingProxyType({name: each.settings for each in usable for name in each.types}),
        plugins=tuple(each.info() for each in plugins),
        problems=tuple(problems),
        observers=Observers(_registered(usable)),
    )


def _installed() -> Iterator[_Plugin]:
    """One per entry point; a distribution that cannot be read is a plugin at fault."""
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            points = [each for each in distribution.entry_points if each.group == GROUP]
            if not points or _shadowed(distribution, seen):
                continue
            name, version = distribution.name, distribution.version
        except Exception as error:
            if plugin := _unreadable(distribution, error):
                yield plugin
            continue
        for point in points:
            yield _Plugin(name=point.name, distribution=name, version=version, load=_loading(point))


def _shadowed(distribution: importlib.metadata.Distribution, seen: set[str]) -> bool:
    """Whether the same distribution stands earlier on the path, perhaps in another version."""
    name = distribution.name.lower().replace("_", "-")
    if name in seen:
        return True
    seen.add(name)
    return importlib.metadata.distribution(name).version != distribution.version


def _unreadable(distribution: importlib.metadata.Distribution, error: Exception) -> _Plugin | None:
    """A plugin at fault, if the distribution means to be one of ours; else it is no matter here."""
    try:
        if GROUP not in (distribution.read_text("entry_points.txt") or ""):
            return None
        name = distribution.metadata["Name"] or "?"
    except Exception:
        return None
    reason = f"its metadata cannot be read: {_describe(error)}"
    return _Plugin(name=name, distribution=name, version="", load=object, reason=reason)


def _loading(point: importlib.metadata.EntryPoint) -> Callable[[], object]:
    return lambda: point.load()


def _embedded(extra: Sequence[object]) -> Iterator[_Plugin]:
    for each in extra:
        if isinstance(each, Handler):
            name = each.type.name
        else:
            name = getattr(each, "__name__", None) or type(each).__name__
        yield _Plugin(name=name, distribution=EMBEDDED, version="", load=_given(each))


def _given(subject: object) -> Callable[[], object]:
    return lambda: subject


def _choose(plugin: _Plugin, enabled: Sequence[str] | None, disabled: Sequence[str]) -> _Plugin:
    """What is embedded was asked for in code and is not subject to `enabled`."""
    unasked = enabled is not None and plugin.name not in enabled
    unasked = unasked and plugin.distribution != EMBEDDED
    if unasked or plugin.name in disabled:
        return replace(plugin, disabled=True, reason="")
    return plugin


def _probe(plugin: _Plugin) -> _Plugin:
    """Imports the plugin and asks it for its handlers, in a pluggy manager of its own."""
    try:
        subject = plugin.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an import may call sys.exit, and worse
        return replace(plugin, reason=f"it failed to import: {_describe(error)}")
    if isinstance(subject, Handler):
        return replace(plugin, subject=subject, handlers=(subject,))
    try:
        return replace(
            plugin, subject=subject, handlers=_offered(plugin.name, subject, plugin.settings)
        )
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        return replace(plugin, reason=error.detail)
    except BaseException as error:
        return replace(plugin, reason=f"its hooks failed: {_describe(error)}")


def _offered(name: str, subject: object, settings: Settings) -> tuple[Handler, ...]:
    manager = _manager()
    manager.register(subject)
    callers = manager.get_hookcallers(subject)
    if not callers:
        raise PluginError("it has no hermesd hook (is @hookimpl missing?)")
    for caller in callers:
        if not caller.has_spec():
            raise PluginError(f"it implements {caller.name!r}, which is no hook of hermesd")
        if any(inspect.iscoroutinefunction(impl.function) for impl in caller.get_hookimpls()):
            raise PluginError(f"its hook {caller.name!r} is async; hooks are plain functions")
    for shape in manager.hook.hermesd_settings():
        _check_settings(name, shape, settings)
    return _checked(manager.hook.hermesd_handlers())


def _check_settings(name: str, shape: Any, settings: Settings) -> None:
    try:
        msgspec.convert(dict(settings), shape)
    except msgspec.ValidationError as error:
        raise PluginError(f"plugins.settings.{name}: {error}") from error


def _checked(answers: Sequence[object]) -> tuple[Handler, ...]:
    handlers: list[Handler] = []
    for answer in answers:
        if not isinstance(answer, Iterable) or isinstance(answer, (str, bytes)):
            raise PluginError(f"hermesd_handlers() gave {_shown(answer)}, not a list of handlers")
        for each in answer:
            if not isinstance(each, Handler):
                raise PluginError(
                    f"hermesd_handlers() gave {_shown(each)}, which no @job(...) has made a handler"
                )
            handlers.append(each)
    doubled = [name for name, n in Counter(each.type.name for each in handlers).items() if n > 1]
    if doubled:
        raise PluginError(f"it offers type {doubled[0]!r} more than once")
    return tuple(handlers)


def _settle_claims(plugins: Sequence[_Plugin]) -> list[_Plugin]:
    """Quarantines whoever shares a claim with another; read from all claims, so in no order.

    One and the same handler found twice (installed, and embedded by its module) is no conflict.
    """
    claims: dict[str, list[_Plugin]] = defaultdict(list)
    claimed: dict[str, set[Handler]] = defaultdict(set)
    for plugin in plugins:
        for handler in plugin.handlers if plugin.usable else ():
            claims[handler.type.name].append(plugin)
            claimed[handler.type.name].add(handler)
    reasons: dict[int, list[str]] = defaultdict(list)
    for name in sorted(claims):
        if len(claimed[name]) > 1:
            labels = sorted({each.label for each in claims[name]})
            for each in claims[name]:
                reasons[id(each)].append(f"type {name!r} is claimed by {' and '.join(labels)}")
    return [
        replace(each, reason="; ".join(reasons[id(each)])) if id(each) in reasons else each
        for each in plugins
    ]


def _registered(plugins: Sequence[_Plugin]) -> pluggy.PluginManager:
    manager = _manager()
    for plugin in plugins:
        if not manager.is_registered(plugin.subject):
            name = f"{plugin.distribution}:{plugin.name}"
            manager.register(plugin.subject, None if manager.has_plugin(name) else name)
    return manager


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:200]
