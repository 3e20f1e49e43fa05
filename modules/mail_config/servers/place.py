"""The page where somebody looks after a mail server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import url_for

from core.auth.models import User
from core.auth.permissions import signed_in_user
from core.contract import TransportSpec
from core.i18n import N_
from core.registry import current_registry
from modules.mail_config.blueprint import blueprint
from modules.mail_config.models import MailServer

SET_UP = "mail_config.server.edit"
TEST_NOW = "mail_config.test_now"
"""In the cookie: the server that was just connected, and whose page tests it at once."""

GONE = TransportSpec("", N_("Kind not installed"), "")
"""Stands for the kind of a server whose module is not enabled any more."""


@blueprint.app_template_global()
def kind_of(server: MailServer) -> TransportSpec:
    """Return the kind of a server, to show it; its title is still to be translated."""
    return current_registry().transports.get(server.transport, GONE)


def kinds_for(server: MailServer, offered: Mapping[str, TransportSpec]) -> dict[str, TransportSpec]:
    """Return the kinds that a server may have, by name: its own, and those it can be changed into.

    One that is signed in to by an account stays what it is: another is connected, or set up beside it.
    """
    mine = current_registry().transports.get(server.transport)
    own = {mine.name: mine} if mine is not None else {}
    return own if server.account is not None else {**own, **offered}


def endpoint_for(server: MailServer, user: User) -> tuple[str, dict[str, Any]] | None:
    """Return the endpoint and arguments of the page on which a user looks after a server, or None."""
    if server.owner_id is not None and server.owner_id == user.id:
        return "mail_config.my_mail", {}
    return ("mail_config.server", {"server_id": server.id}) if user.can(SET_UP) else None


@blueprint.app_template_global()
def server_url(server: MailServer) -> str:
    """Return the address of the page on which the signed-in user looks after a server, or ""."""
    place = endpoint_for(server, signed_in_user())
    return url_for(place[0], **place[1]) if place is not None else ""
