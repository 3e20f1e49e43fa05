"""Pieces of pages that keep themselves up to date."""

from __future__ import annotations

from flask import abort, render_template
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.documents.service import get_readable
from core.mail.outcomes import EXPLANATIONS
from core.partners.models import Partner
from modules.outbox import queries
from modules.outbox.blueprint import blueprint
from modules.outbox.mail_page.waiting_text import waits_for
from modules.outbox.states import FAILED


@blueprint.get("/documents/<int:document_id>/panel")
@requires("outbox.mail.read")
def document_panel(document_id: int) -> ResponseReturnValue:
    """Show the mails of a document, and its badge beside."""
    user = signed_in_user()
    document = get_readable(user, document_id) or abort(404)
    badge = queries.badges_for([document.id]).get(document.id)
    panel = queries.document_mails(document.id, user)
    return render_template(
        "outbox/panels/document.html",
        document=document,
        panel=panel,
        eml_exports=queries.eml_exports(document.id),
        badge=badge,
        oob=True,
    )


@blueprint.get("/partners/<int:partner_id>/panel")
@requires("outbox.mail.read")
def partner_panel(partner_id: int) -> ResponseReturnValue:
    """Show the mails to a customer and its contacts."""
    user = signed_in_user()
    partner = db.session.get(Partner, partner_id) if user.can("core.partner.read") else None
    if partner is None:
        abort(404)
    return render_template(
        "outbox/panels/partner.html", partner=partner, panel=queries.mails_of_partner(partner, user)
    )


@blueprint.app_context_processor
def words_of_mail() -> dict[str, object]:
    """Give templates what the outbox's pieces of pages need, wherever they are shown."""
    return {
        "explanations": EXPLANATIONS,
        "mail_badge": queries.badge_of,
        "mail_choices": queries.choices_for,
        "mail_waits_for": waits_for,
        "correctable_recipients": queries.correctable_recipients,
        "failed_states": FAILED,
    }
