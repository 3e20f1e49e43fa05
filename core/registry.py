"""The registry of the running application: all that its enabled modules have declared."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from flask import current_app

from core.config import Settings
from core.contract import (
    DocumentFilter,
    DocumentKind,
    JobSpec,
    MenuItem,
    Module,
    PartnerCriterion,
    Permission,
    SelectableList,
    SlotFill,
    TransportSpec,
)


@dataclass(frozen=True, slots=True)
class Registry:
    """The declarations of all enabled modules, in the order in which they were loaded.

    Attributes:
        modules: Core first, then the modules; a module stands after those it depends on.
        kinds: Document kinds by name.
        permissions: Permissions by name.
        jobs: Jobs by name.
        menu: Entries of the menu, sorted.
        slots: Fills by the name of their slot, sorted.
        lists: Lists whose rows can be selected, by name.
        document_filters: Filters above every list of documents, in their order.
        criteria: Criteria for lists of customers by name, in the order in which they are offered.
        transports: Kinds of mail servers by name, in the order in which they are offered.
        scripts: What every page loads, as (module, file of its folder `static`).
        styles: Style sheets that every page loads, likewise.
    """

    modules: tuple[Module, ...]
    kinds: Mapping[str, DocumentKind]
    permissions: Mapping[str, Permission]
    jobs: Mapping[str, JobSpec]
    menu: tuple[MenuItem, ...]
    slots: Mapping[str, tuple[SlotFill, ...]]
    lists: Mapping[str, SelectableList]
    document_filters: tuple[DocumentFilter, ...]
    criteria: Mapping[str, PartnerCriterion]
    transports: Mapping[str, TransportSpec]
    scripts: tuple[tuple[str, str], ...] = ()
    styles: tuple[tuple[str, str], ...] = ()


def current_registry() -> Registry:
    """Return the registry of the current application."""
    return cast("Registry", current_app.extensions["envoi_registry"])


def current_settings() -> Settings:
    """Return the settings of the current application."""
    return cast("Settings", current_app.extensions["envoi_settings"])


@cache
def resolve(path: str) -> Any:
    """Import what a dotted path `package.module:attribute` names.

    Raises:
        ImportError: The module or the attribute does not exist.
    """
    module_name, _, attribute = path.partition(":")
    module = importlib.import_module(module_name)
    if not attribute:
        return module
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ImportError(f"{module_name} has no {attribute}") from error


def resolve_function(path: str) -> Callable[..., Any]:
    """Import the function that a dotted path names."""
    return cast("Callable[..., Any]", resolve(path))
