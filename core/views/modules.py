"""The installed modules, for administrators."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from flask import render_template

from core.auth.permissions import requires
from core.contract import Module
from core.db import Base
from core.registry import current_registry
from core.views.blueprint import blueprint

# As in core.loader, which stands on a floor above this one.
ENTRY_POINT_GROUP = "envoi.modules"


@dataclass(frozen=True, slots=True)
class EnabledModule:
    """An enabled module and what it brings.

    Attributes:
        module: Its declaration.
        tables: Names of its tables.
    """

    module: Module
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DisabledModule:
    """A module that is installed but not enabled; it is not imported for being shown.

    Attributes:
        name: Its name.
        declaration: The dotted path of its declaration.
        distribution: Name and version of the package that installed it, or "".
    """

    name: str
    declaration: str
    distribution: str


def _tables(module: Module) -> tuple[str, ...]:
    return tuple(sorted(name for name in Base.metadata.tables if name.startswith(f"{module.name}_")))


def _disabled() -> list[DisabledModule]:
    enabled = {module.name for module in current_registry().modules}
    found = [
        DisabledModule(
            point.name, point.value, f"{point.dist.name} {point.dist.version}" if point.dist else ""
        )
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        if point.name not in enabled
    ]
    return sorted(found, key=lambda entry: entry.name)


@blueprint.get("/modules")
@requires("core.developer")
def modules() -> str:
    """Show the modules with what they declare."""
    enabled = [EnabledModule(module, _tables(module)) for module in current_registry().modules]
    return render_template("core/modules.html", enabled=enabled, disabled=_disabled())
