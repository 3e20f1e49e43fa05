"""The pieces that the outbox puts into the pages of others."""

from __future__ import annotations

from flask import g, render_template
from sqlalchemy import select

from core.auth.permissions import signed_in_user, within_reach
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of
from core.partners.models import Partner
from modules.outbox import queries


def may_send(document: Document) -> bool:
    """Return True when the current user may send this document."""
    condition = within_reach(
        signed_in_user(), "outbox.mail.send", owner=Document.owner_id, company=Document.company_id
    )
    return db.session.scalar(select(Document.id).where(Document.id == document.id, condition)) is not None


def send_button(document: Document) -> str:
    """Return the button "Send by email"."""
    if not may_send(document):
        return ""
    reason = behavior_of(document).why_not_sendable(document)
    return render_template("outbox/send_button.html", document=document, reason=reason)


def _badges() -> dict[int, queries.Badge]:
    """Return the badges of all documents that the page has loaded, by one query for the page."""
    if "outbox_badges" not in g:
        loaded = [row.id for row in db.session.identity_map.values() if isinstance(row, Document)]
        g.outbox_badges = queries.badges_for(loaded)
    badges: dict[int, queries.Badge] = g.outbox_badges
    return badges


def document_badge(document: Document) -> str:
    """Return the badge beside the title of a document; it keeps itself up to date by the panel."""
    return render_template("outbox/document_badge.html", document=document, badge=_badges().get(document.id))


def document_list_badge(document: Document) -> str:
    """Return the badge in a list of documents."""
    badge = _badges().get(document.id)
    return render_template("outbox/badge.html", badge=badge) if badge else ""


def document_panel(document: Document) -> str:
    """Return the panel with the mails of a document."""
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    mails = queries.document_mails(document.id, user)
    return render_template("outbox/document_panel.html", document=document, mails=mails, oob=False)


def partner_panel(partner: Partner) -> str:
    """Return the panel with the mails to a customer and its contacts."""
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    ids = [partner.id, *(contact.id for contact in partner.contacts)]
    return render_template("outbox/partner_panel.html", mails=queries.partner_mails(ids, user))


def failure_bell() -> str:
    """Return the bell with the number of the user's own failed mails."""
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    return render_template("outbox/bell.html", count=queries.failed_count(user))
