"""The menu of the signed-in user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flask import request, session, url_for
from flask_babel import gettext

from core.contract import MenuItem
from core.registry import current_registry, resolve_function

CONFIGURATION = "Configuration"


class Permitted(Protocol):
    """Somebody with permissions; the user of the floor above."""

    def can(self, permission: str) -> bool:
        """Return True when the permission is granted."""


@dataclass(frozen=True, slots=True)
class MenuLink:
    """An entry as it is shown."""

    title: str
    url: str
    active: bool


@dataclass(frozen=True, slots=True)
class MenuSection:
    """A menu with its entries; the technical ones stand apart."""

    title: str
    links: tuple[MenuLink, ...]
    technical: tuple[MenuLink, ...]

    @property
    def active(self) -> bool:
        """True when the current page belongs to it."""
        return any(link.active for link in (*self.links, *self.technical))


def developer_mode(user: Permitted) -> bool:
    """Return True when the user has turned developer mode on, and still may."""
    return bool(session.get("developer")) and user.can("core.developer")


def _link(item: MenuItem) -> MenuLink:
    return MenuLink(gettext(item.title), url_for(item.endpoint), request.endpoint == item.endpoint)


def _is_shown(item: MenuItem) -> bool:
    return item.shown is None or bool(resolve_function(item.shown)())


def menu_for(user: Permitted) -> list[MenuSection]:
    """Return the sections that the user may see; Configuration comes last."""
    technical_shown = developer_mode(user)
    sections: dict[str, list[MenuItem]] = {}
    for item in current_registry().menu:
        permitted = item.permission is None or user.can(item.permission)
        if permitted and (technical_shown or not item.technical) and _is_shown(item):
            sections.setdefault(item.section, []).append(item)
    ordered = sorted(sections, key=lambda title: (title == CONFIGURATION,))
    return [
        MenuSection(
            gettext(title),
            tuple(_link(item) for item in sections[title] if not item.technical),
            tuple(_link(item) for item in sections[title] if item.technical),
        )
        for title in ordered
    ]
