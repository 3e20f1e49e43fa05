"""Sending one document from its line in a list, without composing, where there is nothing to choose."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions, autosave
from modules.outbox.compose.views.page import sendable, show, tell_sent


@blueprint.post("/documents/<int:document_id>/send")
@requires("outbox.mail.send")
def document_send(document_id: int) -> ResponseReturnValue:
    """Send a document to the one address of its customer, with the seconds of Undo; else open the composer.

    Where there are several addresses, a question, or a letter that somebody has begun, a person decides.
    """
    document, user = sendable(document_id), signed_in_user()
    in_place = bool(request.headers.get("HX-Request"))
    try:
        form = actions.open_form(document, None, user)
    except UserError as error:
        flash(str(error.message), "warning")
        return _again(document_id, in_place)
    proposal = form.proposal
    plain = (
        len(form.draft.recipients) == 1
        and not proposal.choices
        and not proposal.without_address
        and not form.errors
        and autosave.kept_draft(autosave.About(document.id), user) is None
    )
    mail = actions.send(form) if plain else None
    if mail is not None:
        tell_sent(mail)
        return _again(document_id, in_place)
    if not in_place:
        return redirect(url_for("outbox.compose", document_id=document_id))
    kept = autosave.kept_draft(autosave.About(document.id), user)
    restored = actions.restored_form(document, user) if kept is not None else None
    return show(document, restored or form, kept=kept)


def _again(document_id: int, in_place: bool) -> ResponseReturnValue:
    """Show the list anew, or where no script is, the page of the document."""
    if in_place:
        return "", 204, {"HX-Refresh": "true"}
    return redirect(url_for("core.document", document_id=document_id))
