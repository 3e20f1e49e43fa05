"""Find the modules, check them, put them in order, and mount them."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path

from flask import Flask

from core import signals
from core.config import Settings
from core.contract import (
    DocumentKind,
    JobSpec,
    Module,
    SlotFill,
)
from core.declarations import check_declarations, package_folder
from core.errors import ConfigError, ModuleError
from core.mail.outcomes import printable
from core.manifest import CORE
from core.registry import Registry, resolve, resolve_function
from core.web import static

MOST = 500_000
"""Of a setting in days, seconds or megabytes: with more of them there is no date any more to reckon with."""
ENTRY_POINT_GROUP = "envoi.modules"  # part of the contract with modules of others: never renamed


def discover() -> dict[str, Module]:
    """Return the declarations of all installed modules by name.

    Raises:
        ModuleError: Some cannot be imported, or two have the same name.
    """
    found: dict[str, Module] = {}
    problems: list[str] = []
    for entry_point in sorted(
        # Sorted, since the order of installed packages differs from host to host.
        importlib.metadata.entry_points(group=ENTRY_POINT_GROUP),
        key=lambda e: e.value,
    ):
        try:
            module = entry_point.load()
        except Exception as error:  # noqa: BLE001 (a module by others may raise anything when imported)
            problems.append(f"Module {entry_point.name}: {entry_point.value} cannot be imported: {error!r}.")
            continue
        if not isinstance(module, Module):
            problems.append(f"Module {entry_point.name}: {entry_point.value} is no core.contract.Module.")
        # ENVOI_MODULES names the entry point; with two names nobody would know which to write.
        elif module.name != entry_point.name:
            problems.append(f"Module {entry_point.name}: its declaration is named {module.name}.")
        elif module.name in found or module.name == CORE.name:
            problems.append(f"Module {entry_point.name}: the name is taken twice.")
        else:
            found[module.name] = module
    if problems:
        raise ModuleError(problems)
    return found


def select(installed: Mapping[str, Module], enabled: tuple[str, ...] | None) -> list[Module]:
    """Return the enabled modules, each after those it depends on.

    Raises:
        ModuleError: With everything that is missing or circular.
    """
    # By name, so that menus and migrations come in the same order on every host.
    # Core is always there; who lists what is enabled may name it as well.
    names = sorted(installed) if enabled is None else [n for n in dict.fromkeys(enabled) if n != CORE.name]
    problems = [
        f"ENVOI_MODULES names {name}, which is not installed. Installed: {', '.join(sorted(installed)) or 'none'}."
        for name in names
        if name not in installed
    ]
    chosen = {name: installed[name] for name in names if name in installed}
    problems += [
        f"Module {module.name} needs {needed}, which is not {'enabled' if needed in installed else 'installed'}."
        for module in chosen.values()
        for needed in module.depends
        if needed not in chosen
    ]
    ordered: list[Module] = []
    rest = dict(chosen)
    while rest:
        ready = [m for m in rest.values() if not any(needed in rest for needed in m.depends)]
        if not ready:
            problems.append(f"Modules depend on each other in a circle: {', '.join(sorted(rest))}.")
            break
        ordered += ready
        for module in ready:
            del rest[module.name]
    if problems:
        raise ModuleError(problems)
    return ordered


def build_registry(modules: Iterable[Module]) -> Registry:
    """Return the registry of core and the modules, which are in order.

    Raises:
        ModuleError: With everything that is wrong in any declaration.
    """
    everything = (CORE, *modules)
    problems = check_declarations(everything)
    if problems:
        raise ModuleError(problems)
    kinds: dict[str, DocumentKind] = {kind.name: kind for m in everything for kind in m.document_kinds}
    jobs: dict[str, JobSpec] = {job.name: job for m in everything for job in m.jobs}
    slots: dict[str, list[SlotFill]] = {}
    for module in everything:
        for fill in module.slots:
            slots.setdefault(fill.slot, []).append(fill)
    return Registry(
        modules=everything,
        kinds=kinds,
        permissions={permission.name: permission for m in everything for permission in m.permissions},
        jobs=jobs,
        menu=tuple(sorted((item for m in everything for item in m.menu), key=lambda item: item.order)),
        slots={name: tuple(sorted(fills, key=lambda fill: fill.order)) for name, fills in slots.items()},
        lists={entry.name: entry for m in everything for entry in m.lists},
        document_filters=tuple(
            sorted((entry for m in everything for entry in m.document_filters), key=lambda entry: entry.order)
        ),
        criteria={
            entry.name: entry
            for entry in sorted(
                (entry for m in everything for entry in m.criteria), key=lambda entry: entry.order
            )
        },
        transports={
            spec.name: spec
            for spec in sorted(
                (spec for m in everything for spec in m.transports), key=lambda spec: spec.order
            )
        },
        scripts=tuple((m.name, name) for m in everything for name in m.scripts),
        styles=tuple((m.name, name) for m in everything for name in m.styles),
    )


def _read_setting(default: str | float, text: str) -> tuple[str | int | float, str]:
    """Return a setting in the type of its default, and "", or its default and what it must be."""
    if isinstance(default, str):
        return text, ""
    least = "0 or more" if default == 0 else "greater than 0"
    try:
        value = type(default)(text)
        if isinstance(default, int) and not text.removeprefix("-").isdigit():
            raise ValueError  # Python takes 1_000 as well
    except ValueError:
        return default, "a whole number" if isinstance(default, int) else "a number"
    if value > MOST >= default and value != float("inf"):
        return default, f"at most {MOST}"
    return (value, "") if 0 < value < float("inf") or value == default == 0 else (default, least)


def settings_problems(enabled: tuple[str, ...] | None, given: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong with the modules that are to be enabled and with what is set for them."""
    try:
        module_settings(build_registry(select(discover(), enabled)), given)
    except (ConfigError, ModuleError) as error:
        return list(error.problems)
    return []


def module_settings(registry: Registry, given: Mapping[str, str]) -> dict[str, str | int | float]:
    """Return the settings of all modules: what was given, read as the type of its default, or the default.

    Raises:
        ConfigError: With everything that cannot be read so.
    """
    settings: dict[str, str | int | float] = {}
    problems: list[str] = []
    for module in registry.modules:
        own: dict[str, str | int | float] = {}
        for key, default in module.config_defaults.items():
            text = given.get(key, "").strip()
            # An empty variable is one that is not set: container files write `NAME=` so.
            own[key], problem = _read_setting(default, text) if text else (default, "")
            if problem:
                problems.append(f"ENVOI_{key} must be {problem}, not “{text}”.")
        if module.config_check is not None:
            # With the default in the place of what makes no sense: the others are looked at all the same.
            problems += resolve_function(module.config_check)(own)
        settings.update(own)
    if problems:
        raise ConfigError(problems)
    return settings


def unknown_settings(settings: Settings) -> list[str]:
    """Return a sentence for each setting that no installed module has: a slip of the pen would else go unnoticed."""
    known = {f"ENVOI_{key}" for module in discover().values() for key in module.config_defaults}
    problems = []
    for name in sorted({f"ENVOI_{key}" for key in settings.module_settings} - known):
        near = difflib.get_close_matches(name, sorted(known | settings.names), 1, 0.85)
        meant = f" Is {near[0]} meant?" if near else ""
        problems.append(f"There is no setting {printable(name)}: it changes nothing.{meant}")
    return problems


def mount(app: Flask, registry: Registry) -> None:
    """Give the application the blueprints, receivers and settings of the modules.

    Raises:
        ConfigError: Settings of modules are wrong, all of them at once.
        ModuleError: A menu entry or document kind names an endpoint that nobody has, or static files cannot be served.
    """
    app.config.update(module_settings(registry, app.extensions["envoi_settings"].module_settings))
    for module in registry.modules:
        if module.blueprint is not None:
            app.register_blueprint(resolve(module.blueprint))
        if module is not CORE:  # the shell's files are core's
            mount_static(app, module)
        for receiver in module.receivers:
            signal: signals.ModuleSignal = getattr(signals, receiver.signal)
            signal.mount(app, resolve_function(receiver.function))
    endpoints = [(f"the menu entry {item.title}", item.endpoint) for item in registry.menu]
    endpoints += [(f"the document kind {kind.name}", kind.endpoint) for kind in registry.kinds.values()]
    endpoints += [("the declaration of lists", name) for name in registry.lists]
    problems = [
        f"There is no endpoint {endpoint}, which {what} names."
        for what, endpoint in endpoints
        if endpoint not in app.view_functions
    ]
    if problems:
        raise ModuleError(problems)


def mount_static(app: Flask, module: Module) -> None:
    """Serve the folder `static` of a module, if it has one.

    Raises:
        ModuleError: The module's name or one of its views is in the way.
    """
    if static.endpoint_of(module.name) in app.view_functions:
        # What has this endpoint is open to everybody, so no view may have it by accident.
        raise ModuleError(
            [
                f"Module {module.name}: “static” is served without a view and a folder of the blueprint so named."
            ]
        )
    folder = package_folder(module) / static.FOLDER
    if not folder.is_dir():
        return
    if (Path(app.static_folder or static.FOLDER) / module.name).exists():
        raise ModuleError([f"Module {module.name}: its static files would hide those of the shell."])
    static.serve(app, module.name, folder)
