"""The list of templates, which of them applies to a document, and what all pages of a template share."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.documents.service import get_readable
from modules.mail_config.blueprint import blueprint
from modules.mail_config.mail_templates import revisions, selection, service
from modules.mail_config.mail_templates.titles import FIELDS, RULES
from modules.mail_config.mail_templates.word_diff import Piece, compare
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.fields import template_kinds, title_of_kind


def template_or_404(template_id: int) -> MailTemplate:
    """Return a template."""
    return db.session.get(MailTemplate, template_id) or abort(404)


def kind_or_404(kind: str) -> str:
    """Return the name of a kind that is enabled."""
    return kind if kind in template_kinds() else abort(404)


def is_changed(row: MailTemplate) -> bool:
    """Return True when a template that came with a module no longer says what the module ships."""
    original = service.shipped_original(row)
    if original is None:
        return False
    texts = {text.language: (text.subject, text.body) for text in row.texts}
    return (texts, row.attachment_name, row.name) != (
        dict(original.texts),
        original.attachment_name,
        original.name,
    ) or bool(row.recipients or row.files or row.reply_to or row.company_id or row.partner_id)


@blueprint.app_template_global()
def template_kind_title(kind: str) -> str:
    """Return the title of a kind of templates, for pages."""
    return title_of_kind(kind)


@blueprint.get("/templates")
@requires("mail_config.template.edit")
def templates() -> ResponseReturnValue:
    """List the templates by kind."""
    rows = list(
        db.session.scalars(
            select(MailTemplate).order_by(MailTemplate.kind, MailTemplate.position, MailTemplate.id)
        )
    )
    by_kind: dict[str, list[MailTemplate]] = {kind: [] for kind in template_kinds()}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)  # also those of a module that is not enabled now
    return render_template(
        "mail_config/mail_templates/templates.html",
        by_kind=by_kind,
        enabled=template_kinds(),
        languages=SUPPORTED_LANGUAGES,
        language_name=selection.language_name,
        rule_text=selection.rule_text(),
        rules=RULES,
        recipient_fields=FIELDS,
        changed={row.id for row in rows if row.shipped_key and is_changed(row)},
    )


@blueprint.get("/templates/which")
@requires("mail_config.template.edit")
def templates_which() -> ResponseReturnValue:
    """Say which template applies to a document, and why."""
    number = request.args.get("document", 0, type=int)
    document = get_readable(signed_in_user(), number) if 0 < number < 2**31 else None
    offers = selection.offered(document) if document is not None else []
    return render_template("mail_config/mail_templates/_which.html", document=document, offers=offers)


@blueprint.post("/templates/<int:template_id>/delete")
@requires("mail_config.template.edit")
def template_delete(template_id: int) -> ResponseReturnValue:
    """Delete a template."""
    service.delete_template(template_or_404(template_id))
    flash(gettext("The template was deleted."), "success")
    return redirect(url_for("mail_config.templates"))


def shown_changes(changes: list[revisions.Change]) -> list[tuple[str, list[Piece]]]:
    """Return changes as a page shows them: the title of each, and the pieces of its text."""
    return [
        (change.title, compare(change.before, change.after, is_html=change.field.startswith("body_")))
        for change in changes
    ]
