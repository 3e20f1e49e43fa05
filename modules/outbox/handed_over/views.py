"""The buttons: on the page of a document, and for what is selected in a list."""

from __future__ import annotations

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.documents.service import get_readable
from core.errors import UserError
from core.selection import back_to, list_or_404, read_selection
from core.web.redirects import back_where_pressed
from modules.outbox.blueprint import blueprint
from modules.outbox.compose.draft import may_send
from modules.outbox.handed_over import service
from modules.outbox.handed_over.service import SEND, Marked
from modules.outbox.models import HandOver, Way

BACK = "back"
"""Chosen in place of a way: it was not handed over after all."""


@blueprint.post("/documents/<int:document_id>/handed-over")
@requires(SEND)
def document_hand_over(document_id: int) -> ResponseReturnValue:
    """Note that a document was handed over."""
    user = signed_in_user()
    document = get_readable(user, document_id)
    if document is None or not may_send(document, user):
        abort(404)
    _act([document.id])
    return redirect(url_for("core.document", document_id=document.id))


@blueprint.post("/handed-over/<int:hand_over_id>/take-back")
@requires(SEND)
def hand_over_take_back(hand_over_id: int) -> ResponseReturnValue:
    """Take one word back."""
    user = signed_in_user()
    row = db.session.get(HandOver, hand_over_id)
    document = get_readable(user, row.document_id) if row is not None else None
    if row is None or document is None or not may_send(document, user):
        abort(404)
    if service.take_back([document.id], user, only=row.id):
        flash(gettext("Taken back: it does not count as handed over any more."), "success")
    return back_where_pressed(url_for("core.document", document_id=document.id))


@blueprint.post("/handed-over/of/<name>")
@requires(SEND)
def list_hand_over(name: str) -> ResponseReturnValue:
    """Note that what is selected in a list was handed over."""
    user = signed_in_user()
    declared = list_or_404(name, user, "document")
    ids = read_selection(declared).row_ids(user)
    if ids:
        _act(ids)
    else:
        flash(gettext("Select at least one line first."), "warning")
    return back_to(declared)


def _act(ids: list[int]) -> None:
    user, wanted = signed_in_user(), request.form.get("way", "")
    if wanted == BACK:
        count = service.take_back(ids, user)
        flash(
            ngettext(
                "%(num)d document does not count as handed over any more.",
                "%(num)d documents do not count as handed over any more.",
                count,
            ),
            "success" if count else "info",
        )
        return
    if wanted not in set(Way):
        flash(gettext("Choose how it was handed over."), "warning")
        return
    try:
        _tell(service.hand_over(ids, Way(wanted), user, request.form.get("note", "")[:1000]))
    except UserError as error:
        flash(str(error.message), "warning")


def _tell(marked: Marked) -> None:
    if marked.done:
        flash(
            ngettext(
                "%(num)d document is marked as handed over.",
                "%(num)d documents are marked as handed over.",
                marked.done,
            ),
            "success",
        )
    if marked.already:
        flash(
            ngettext("%(num)d was marked so before.", "%(num)d were marked so before.", marked.already),
            "info",
        )
    if marked.left:
        flash(
            ngettext(
                "%(num)d was left alone: it cannot be sent as it is, or you may not send it.",
                "%(num)d were left alone: they cannot be sent as they are, or you may not send them.",
                marked.left,
            ),
            "warning",
        )
