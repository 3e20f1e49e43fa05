"""Find the modules, check them, put them in order, and mount them."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from flask import Flask

from core import __version__, signals
from core.auth.service import FIRST_ROLES
from core.config import Settings
from core.contract import (
    DocumentKind,
    JobSpec,
    MenuItem,
    Module,
    PartnerCriterion,
    Permission,
    Scope,
    SelectableList,
    SlotFill,
)
from core.errors import ConfigError, ModuleError
from core.i18n import N_
from core.mail.outcomes import printable
from core.registry import Registry, resolve, resolve_function
from core.web import static

MOST = 500_000
"""Of a setting in days, seconds or megabytes: with more of them there is no date any more to reckon with."""
ENTRY_POINT_GROUP = "envoi.modules"  # part of the contract with modules of others: never renamed

CORE = Module(
    name="core",
    version=__version__,
    title=N_("Platform"),
    package="core",
    models="core.models",
    blueprint="core.views:blueprint",
    cli="core.administration:commands",
    menu=(
        MenuItem(N_("Customers"), "core.partners", "core.partner.read", N_("Contacts"), 200),
        MenuItem(N_("Mailings"), "core.partner_lists", "core.partner.read", N_("Contacts"), 210),
        MenuItem(N_("Products"), "core.products", "core.product.edit", N_("Products"), 150),
        MenuItem(N_("Taxes"), "core.taxes", "core.product.edit", N_("Products"), 160),
        MenuItem(N_("Tax rules"), "core.tax_rules", "core.product.edit", N_("Products"), 165),
        MenuItem(N_("Payment terms"), "core.payment_terms", "core.product.edit", N_("Products"), 170),
        MenuItem(N_("Users"), "core.users", "core.user.edit", N_("Configuration"), 10),
        MenuItem(N_("Roles"), "core.roles", "core.user.edit", N_("Configuration"), 20),
        MenuItem(N_("Companies"), "core.companies", "core.company.edit", N_("Configuration"), 30),
        MenuItem(
            N_("Families, tags and codes"),
            "core.partner_labels",
            "core.company.edit",
            N_("Configuration"),
            40,
        ),
        MenuItem(N_("First steps"), "core.first_steps", "core.company.edit", N_("Configuration"), 45),
        MenuItem(N_("Modules"), "core.modules", "core.developer", N_("Configuration"), 900, technical=True),
        MenuItem(N_("Queue"), "core.queue", "core.developer", N_("Configuration"), 910, technical=True),
        MenuItem(
            N_("Encryption keys"), "core.keys", "core.developer", N_("Configuration"), 920, technical=True
        ),
    ),
    permissions=(
        Permission(
            "core.partner.read",
            N_("Read customers and contacts"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={
                "salesperson": Scope.COMPANY,
                "cashier": Scope.COMPANY,
                "support": Scope.COMPANY,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "core.partner.edit",
            N_("Edit customers and contacts"),
            scopes=(Scope.COMPANY, Scope.ALL),
            granted={"salesperson": Scope.COMPANY, "support": Scope.COMPANY, "administrator": Scope.ALL},
        ),
        Permission(
            "core.follower.edit",
            N_("Add and remove followers of documents"),
            granted={
                "salesperson": Scope.ALL,
                "cashier": Scope.ALL,
                "support": Scope.ALL,
                "administrator": Scope.ALL,
            },
        ),
        Permission(
            "core.product.edit",
            N_("Manage products, taxes and payment terms"),
            granted={"administrator": Scope.ALL},
        ),
        Permission("core.company.edit", N_("Manage companies"), granted={"administrator": Scope.ALL}),
        Permission("core.user.edit", N_("Manage users and roles"), granted={"administrator": Scope.ALL}),
        Permission("core.developer", N_("Use developer mode"), granted={"administrator": Scope.ALL}),
    ),
    jobs=(
        JobSpec("core.import_rows", "core.imports.service:work", timeout=1800),
        JobSpec("core.sweep_imports", "core.imports.service:sweep", timeout=300, every=60),
        JobSpec("core.index_partners", "core.partners.search_index:index_missing", timeout=600, every=600),
    ),
    lists=(
        SelectableList(
            "core.partners",
            N_("Customers"),
            "core.partner.read",
            "core.views.partners:partner_list",
            of="partner",
        ),
    ),
    criteria=tuple(
        PartnerCriterion(f"core.{name}", title, f"core.partners.lists.own_criteria:{name}", order=order)
        for order, (name, title) in enumerate(
            (
                ("family", N_("Family")),
                ("tag", N_("Tag")),
                ("country", N_("Country")),
                ("language", N_("Language")),
                ("fields", N_("Own filter by fields")),
                ("since", N_("Customer since")),
                ("consent", N_("Emails wanted")),
                ("function", N_("Contacts with function code")),
                ("saved", N_("Saved list")),
                ("everybody", N_("All customers")),
            ),
            start=10,
        )
    ),
    slots=(
        SlotFill("list.actions", "core.views.partner_lists:add_selected", order=150),
        SlotFill("shell.banner", "core.views.begin:banner", order=200),
    ),
    install="core.auth.service:install_roles",
    demo="core.demo:load",
    states="core.views.followed:STATES",
    shared={
        "core.product.edit": "Administrators manage what every company sells, its taxes and payment terms.",
        "core.company.edit": "Administrators manage every company.",
        "core.user.edit": "Administrators manage the users and roles of every company.",
    },
)


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
    paths += [module.config_check, module.changes, module.states]
    paths += [kind.behavior for kind in module.document_kinds]
    paths += [job.function for job in module.jobs]
    paths += [receiver.function for receiver in module.receivers]
    paths += [fill.function for fill in module.slots]
    paths += [item.shown for item in module.menu]
    paths += [entry.source for entry in module.lists]
    paths += [entry.condition for entry in module.document_filters]
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


def package_folder(module: Module) -> Path:
    """Return the folder of a module's package.

    Raises:
        ModuleError: The package cannot be found.
    """
    spec = importlib.util.find_spec(module.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleError([f"Module {module.name}: there is no package {module.package}."])
    return Path(next(iter(spec.submodule_search_locations)))


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
