"""The pieces that the outbox puts into the pages of others."""

from __future__ import annotations

from flask import g, render_template, request

from core.auth.permissions import signed_in_user
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of
from core.mail.explanations import EXPLANATIONS
from core.partners.models import Partner
from modules.outbox import alerts, queries
from modules.outbox.composer import may_send

_TOLD_ABOUT = {"outbox.mail": "mail_id", "mail_config.server": "server_id"}
"""The pages of what alerts are about, and the argument that names it."""


def send_button(document: Document) -> str:
    """Return the button "Send by email"."""
    if not may_send(document, signed_in_user()):
        return ""
    reason = behavior_of(document).why_not_sendable(document)
    return render_template("outbox/panels/send_button.html", document=document, reason=reason)


def _badges() -> dict[int, queries.Badge]:
    """Return the badges of all documents that the page has loaded, by one query for the page."""
    if "outbox_badges" not in g:
        loaded = [row.id for row in db.session.identity_map.values() if isinstance(row, Document)]
        g.outbox_badges = queries.badges_for(loaded)
    badges: dict[int, queries.Badge] = g.outbox_badges
    return badges


def document_badge(document: Document) -> str:
    """Return the badge beside the title of a document; it keeps itself up to date by the panel."""
    return render_template(
        "outbox/panels/document_badge.html", document=document, badge=_badges().get(document.id)
    )


def document_list_badge(document: Document) -> str:
    """Return the badge in a list of documents."""
    badge = _badges().get(document.id)
    return render_template("outbox/panels/list_badge.html", badge=badge) if badge else ""


def document_panel(document: Document) -> str:
    """Return the panel with the mails of a document."""
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    panel = queries.document_mails(document.id, user)
    return render_template(
        "outbox/panels/document.html",
        document=document,
        panel=panel,
        hand_overs=queries.hand_overs(document.id),
        oob=False,
    )


def partner_panel(partner: Partner) -> str:
    """Return the panel with the mails to a customer and its contacts."""
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    return render_template(
        "outbox/panels/partner.html", partner=partner, panel=queries.mails_of_partner(partner, user)
    )


def failure_bell() -> str:
    """Return the bell with the number of alerts that the user has not seen.

    On the page of what an alert tells of it asks the browser to say that this was seen: reading changes nothing.
    """
    user = signed_in_user()
    count = alerts.count_unseen(user.id)
    seen: dict[str, int] = {}
    if count and request.endpoint in _TOLD_ABOUT:
        name = _TOLD_ABOUT[request.endpoint]
        seen = {name: (request.view_args or {})[name]}
        if not alerts.has_unseen(user.id, **seen):
            seen = {}
    return render_template(
        "outbox/alerts/bell.html",
        count=count,
        most=alerts.MOST_COUNTED,
        newest=alerts.newest_unseen(user.id) if count else [],
        explanations=EXPLANATIONS,
        seen=seen,
    )
