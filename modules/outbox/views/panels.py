"""Pieces of pages that keep themselves up to date."""

from __future__ import annotations

from flask import abort, render_template
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.documents.service import get_readable
from core.mail.outcomes import EXPLANATIONS
from modules.outbox import queries
from modules.outbox.states import WAITING
from modules.outbox.views.blueprint import blueprint


@blueprint.get("/documents/<int:document_id>/panel")
@requires("outbox.mail.read")
def document_panel(document_id: int) -> ResponseReturnValue:
    """Show the mails of a document, and its badge beside."""
    user = signed_in_user()
    document = get_readable(user, document_id) or abort(404)
    mails = queries.document_mails(document.id, user)
    badge = queries.badges_for([document.id]).get(document.id)
    return render_template(
        "outbox/document_panel.html", document=document, mails=mails, badge=badge, oob=True
    )


@blueprint.app_context_processor
def words_of_mail() -> dict[str, object]:
    """Give templates what the outbox's pieces of pages need, wherever they are shown."""
    return {"explanations": EXPLANATIONS, "mail_badge": queries.badge_of, "waiting_states": WAITING}
