"""The composer, in place or as a page of its own."""

from __future__ import annotations

from contextlib import suppress

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.documents.models import Document
from core.documents.service import get_readable
from core.errors import ConcurrentChangeError, UserError
from modules.mail_config.models import MailTemplate
from modules.mail_config.service import route_for
from modules.mail_config.templates_service import templates_for
from modules.mail_config.templating import BadTemplateError
from modules.outbox.composer import blank_draft, draft_for, reason_text, take_settings
from modules.outbox.forms import ComposeForm, read_form
from modules.outbox.service import draft_problems, submit
from modules.outbox.slots import may_send
from modules.outbox.views.blueprint import blueprint


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
    for problem in draft_problems(form.draft):
        form.error(problem.field or "", problem.message)
    if not form.errors:
        try:
            submit(form.draft, user, token=form.token)
        except ConcurrentChangeError as error:
            form.error("", error.message)
            form.draft.document_revision = document.revision
        except UserError as error:
            form.error(error.field or "", error.message)
        else:
            flash(gettext("The mail is in the queue."), "success")
            target = url_for("core.document", document_id=document.id)
            if request.headers.get("HX-Request"):
                return "", 204, {"HX-Redirect": target}
            return redirect(target)
    return _show(document, form), 422


def _sendable(document_id: int) -> Document:
    document = get_readable(signed_in_user(), document_id)
    if document is None:
        abort(404)
    if not may_send(document):
        abort(403)
    return document


def _template(document: Document, template_id: int | None) -> MailTemplate | None:
    if template_id is None:
        return None
    template = next((row for row in templates_for(document) if row.id == template_id), None)
    if template is None:
        flash(gettext("This template no longer exists; the usual one is used."), "warning")
    return template


def _show(document: Document, form: ComposeForm) -> str:
    name = "outbox/compose_dialog.html" if request.headers.get("HX-Request") else "outbox/compose_page.html"
    return render_template(
        name,
        document=document,
        form=form,
        draft=form.draft,
        templates=templates_for(document),
        route=route_for(document.company, signed_in_user(), form.draft.reply_to),
        reason_text=reason_text,
    )
