"""The composer, in place or as a page of its own."""

from __future__ import annotations

from contextlib import suppress

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.companies.models import Company
from core.documents.models import Document
from core.documents.service import get_readable
from core.errors import ConcurrentChangeError, UserError
from modules.mail_config.models import MailTemplate
from modules.mail_config.service import route_for
from modules.mail_config.templates_service import templates_for
from modules.mail_config.templating import BadTemplateError
from modules.outbox.composer import (
    blank_draft,
    copy_of,
    draft_for,
    frame_without_document,
    may_copy,
    may_send,
    reason_text,
    take_settings,
)
from modules.outbox.forms import ComposeForm, read_form
from modules.outbox.models import OutgoingMail
from modules.outbox.preflight import draft_problems
from modules.outbox.service import submit
from modules.outbox.views.blueprint import blueprint
from modules.outbox.views.mail import mail_or_404


@blueprint.get("/compose/<int:document_id>")
@requires("outbox.mail.send")
def compose(document_id: int) -> ResponseReturnValue:
    """Open the composer, filled in."""
    document = _sendable(document_id)
    template = _template(document, request.args.get("template", type=int))
    user = signed_in_user()
    try:
        form = ComposeForm.fresh(draft_for(document, template, user))
    except BadTemplateError as error:
        # A broken template must not keep anybody from writing: say so, and leave the text to the person.
        form = ComposeForm.fresh(blank_draft(document, user))
        form.error("", error.message)
    return _show(document, form)


@blueprint.post("/compose/<int:document_id>")
@requires("outbox.mail.send")
def compose_send(document_id: int) -> ResponseReturnValue:
    """Send, or show again what was typed with what is wrong."""
    document = _sendable(document_id)
    user = signed_in_user()
    base = blank_draft(document, user)
    template_id = request.form.get("template", type=int)
    template = next((row for row in templates_for(document) if row.id == template_id), None)
    if template is not None:
        # The text is the person's by now: a template that was deleted or broken meanwhile does not matter.
        with suppress(UserError):
            take_settings(base, template, document)
    form = read_form(base)
    if _submitted(form, user, document) is not None:
        return _go(url_for("core.document", document_id=document.id))
    return _show(document, form), 422


@blueprint.get("/compose/again/<int:mail_id>")
@requires("outbox.mail.send")
def compose_again(mail_id: int) -> ResponseReturnValue:
    """Open the composer with the contents of a mail; a mail about a document leads to one about it again."""
    mail = _copyable(mail_id)
    try:
        draft, offered = copy_of(mail, signed_in_user())
    except UserError as error:
        flash(str(error.message), "warning")
        return _go(url_for("outbox.mail", mail_id=mail.id))
    return _show(mail.document, ComposeForm.again(draft, offered), mail)


@blueprint.post("/compose/again/<int:mail_id>")
@requires("outbox.mail.send")
def compose_again_send(mail_id: int) -> ResponseReturnValue:
    """Send the new mail that was made of one without a document, or show again what was typed."""
    mail = _copyable(mail_id)
    if mail.document is not None:
        abort(404)  # its composer posts to the document's
    form = read_form(frame_without_document(mail))
    sent = _submitted(form, signed_in_user())
    if sent is not None:
        return _go(url_for("outbox.mail", mail_id=sent.id))
    return _show(None, form, mail), 422


def _submitted(form: ComposeForm, user: User, document: Document | None = None) -> OutgoingMail | None:
    """Submit what was posted, or tell in the form what is wrong and return None."""
    for problem in draft_problems(form.draft):
        form.error(problem.field or "", problem.message)
    if form.errors:
        return None
    try:
        mail = submit(form.draft, user, token=form.token)
    except ConcurrentChangeError as error:
        form.error("", error.message)
        if document is not None:
            form.draft.document_revision = document.revision
    except UserError as error:
        form.error(error.field or "", error.message)
    else:
        flash(gettext("The mail is in the queue."), "success")
        return mail
    return None


def _go(target: str) -> ResponseReturnValue:
    if request.headers.get("HX-Request"):
        return "", 204, {"HX-Redirect": target}
    return redirect(target)


def _copyable(mail_id: int) -> OutgoingMail:
    mail = mail_or_404(mail_id)
    if not may_copy(mail, signed_in_user()):
        abort(404)
    return mail


def _sendable(document_id: int) -> Document:
    document = get_readable(signed_in_user(), document_id)
    if document is None:
        abort(404)
    if not may_send(document, signed_in_user()):
        abort(403)
    return document


def _template(document: Document, template_id: int | None) -> MailTemplate | None:
    if template_id is None:
        return None
    template = next((row for row in templates_for(document) if row.id == template_id), None)
    if template is None:
        flash(gettext("This template no longer exists; the usual one is used."), "warning")
    return template


def _show(document: Document | None, form: ComposeForm, copied: OutgoingMail | None = None) -> str:
    """Show the composer: of a document, or of the mail that is made again."""
    in_place = bool(request.headers.get("HX-Request")) and copied is None
    name = "outbox/compose_dialog.html" if in_place else "outbox/compose_page.html"
    if document is not None:
        company: Company = document.company
        action = url_for("outbox.compose_send", document_id=document.id)
    else:
        assert copied is not None  # noqa: S101 (one of the two is there)
        company, action = copied.company, url_for("outbox.compose_again_send", mail_id=copied.id)
    return render_template(
        name,
        document=document,
        copied=copied,
        action=action,
        form=form,
        draft=form.draft,
        templates=templates_for(document) if document is not None else [],
        route=route_for(company, signed_in_user(), form.draft.reply_to),
        reason_text=reason_text,
    )
