"""The pieces that distribution puts into the pages of documents and customers."""

from __future__ import annotations

from flask import render_template
from sqlalchemy import select

from core.auth.permissions import signed_in_user
from core.companies.service import current_company
from core.db import db
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import customer_of
from modules.distribution import dispatches
from modules.distribution.decisions import decision_for, decisions_by_kind
from modules.distribution.permissions import DISTRIBUTE, READ
from modules.distribution.views.rules import kind_choices
from modules.distribution.words import DISPATCH_TITLES, DISPATCH_TONES, WAY_ICONS, WAY_TITLES

_WORDS = {
    "way_titles": WAY_TITLES,
    "way_icons": WAY_ICONS,
    "state_titles": DISPATCH_TITLES,
    "state_tones": DISPATCH_TONES,
}


def document_panel(document: Document) -> str:
    """Return the panel that says how a document goes, what waits, and what can be stopped."""
    user = signed_in_user()
    if not user.can(DISTRIBUTE):
        return ""
    allowed = select(Document.id).where(Document.id == document.id, dispatches.allowed(user))
    if db.session.scalar(allowed) is None:
        return ""
    decision, rows = decision_for(document), dispatches.dispatches_of(document)
    if decision.rule is None and not rows:
        return ""
    return render_template(
        "distribution/panels/document.html",
        document=document,
        decision=decision,
        rows=rows,
        open_states=dispatches.OPEN,
        **_WORDS,
    )


def partner_panel(partner: Partner) -> str:
    """Return the panel that says which rules apply to a customer, and where each comes from."""
    user = signed_in_user()
    if not user.can(READ) or partner.parent_id is not None:
        return ""
    kinds = kind_choices()
    decisions = decisions_by_kind(
        current_company(user), customer_of(partner), [name for name, _title in kinds]
    )
    return render_template(
        "distribution/panels/partner.html",
        partner=partner,
        decisions=[(title, decisions[name]) for name, title in kinds if decisions[name].rule is not None],
        **_WORDS,
    )


def list_actions(of: str, name: str) -> str:
    """Return the buttons that distribute, or print in one PDF, what is selected in a list of documents."""
    if of != "document" or not signed_in_user().can(DISTRIBUTE):
        return ""
    return render_template("distribution/panels/list_actions.html", name=name)
