"""What is wrong with the declarations of modules, and where a module lies."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from core import signals
from core.auth.service import FIRST_ROLES
from core.contract import Module
from core.errors import ModuleError
from core.registry import resolve
from core.web import static


def check_declarations(modules: Iterable[Module]) -> list[str]:
    """Return everything that is wrong with the declarations, one sentence each."""
    problems: list[str] = []
    owners: dict[tuple[str, str], str] = {}
    modules = list(modules)
    permissions = {permission.name for module in modules for permission in module.permissions}
    kinds = [(module, kind) for module in modules for kind in module.document_kinds]
    for module in modules:
        named: list[tuple[str, str]] = [("permission", p.name) for p in module.permissions]
        named += [("document kind", k.name) for k in module.document_kinds]
        named += [("job", j.name) for j in module.jobs]
        named += [("list", entry.name) for entry in module.lists]
        named += [("filter", entry.name) for entry in module.document_filters]
        named += [("criterion", entry.name) for entry in module.criteria]
        named += [("transport", spec.name) for spec in module.transports]
        problems += [
            f"Module {module.name}: the {what} {name} is declared twice."
            for (what, name), times in Counter(named).items()
            if times > 1
        ]
        problems += [
            f"Module {module.name}: the permission {permission.name} is granted to the unknown role {role}."
            for permission in module.permissions
            for role in permission.granted
            if role not in FIRST_ROLES
        ]
        for what, name in dict.fromkeys(named):
            # The name says whose it is, and two modules by strangers can never collide.
            if not name.startswith(f"{module.name}."):
                problems.append(f"Module {module.name}: the {what} {name} must begin with “{module.name}.”.")
            owner = owners.setdefault((what, name), module.name)
            if owner != module.name:
                problems.append(f"Module {module.name}: the {what} {name} is already declared by {owner}.")
        problems += [
            f"Module {module.name}: the menu entry {item.title} names the unknown permission {item.permission}."
            for item in module.menu
            if item.permission is not None and item.permission not in permissions
        ]
        problems += [
            f"Module {module.name}: there is no signal {receiver.signal}."
            for receiver in module.receivers
            if not hasattr(signals, receiver.signal)
        ]
        problems += [
            f"Module {module.name}: the list {entry.name} names the unknown permission {entry.permission}."
            for entry in module.lists
            if entry.permission not in permissions
        ]
        problems += [
            f"Module {module.name}: the {what} {name} names the unknown permission {permission}."
            for what, name, permission in (
                *(("filter", entry.name, entry.permission) for entry in module.document_filters),
                *(("criterion", entry.name, entry.permission) for entry in module.criteria),
            )
            if permission is not None and permission not in permissions
        ]
        prefix = f"{module.name.upper()}_"
        problems += [
            f"Module {module.name}: the setting {key} must begin with {prefix}."
            for key in module.config_defaults
            if not key.startswith(prefix)
        ]
        problems += _unresolved(module)
        problems += _missing_files(module)
    problems += [
        f"Module {module.name}: the document kind {kind.name} names the unknown permission {kind.read}."
        for module, kind in kinds
        if kind.read not in permissions
    ]
    return problems


def _unresolved(module: Module) -> list[str]:
    """Return a sentence for each dotted path of a declaration that cannot be imported."""
    paths: list[str | None] = [module.models, module.blueprint, module.cli, module.install, module.demo]
    paths += [module.config_check, module.changes, module.states, *module.watches]
    paths += [kind.behavior for kind in module.document_kinds]
    paths += [job.function for job in module.jobs]
    paths += [receiver.function for receiver in module.receivers]
    paths += [fill.function for fill in module.slots]
    paths += [item.shown for item in module.menu]
    paths += [entry.source for entry in module.lists]
    paths += [path for entry in module.document_filters for path in (entry.condition, entry.among) if path]
    paths += [entry.criterion for entry in module.criteria]
    paths += [path for spec in module.transports for path in (spec.factory, spec.shown)]
    problems = []
    for path in paths:
        if path is None:
            continue
        try:
            resolve(path)
        except Exception as error:  # noqa: BLE001 (a module by others may raise anything when imported)
            problems.append(f"Module {module.name}: {path} cannot be imported: {error!r}.")
    return problems


def _missing_files(module: Module) -> list[str]:
    named = [*module.scripts, *module.styles]
    if not named:
        return []
    folder = package_folder(module) / static.FOLDER
    return [
        f"Module {module.name}: there is no file {name} in {folder}."
        for name in static.missing(folder, named)
    ]


def package_folder(module: Module) -> Path:
    """Return the folder of a module's package.

    Raises:
        ModuleError: The package cannot be found.
    """
    spec = importlib.util.find_spec(module.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleError([f"Module {module.name}: there is no package {module.package}."])
    return Path(next(iter(spec.submodule_search_locations)))
