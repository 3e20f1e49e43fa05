"""Mail templates: the list, and the page of one."""

from __future__ import annotations

from collections.abc import Container

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.documents.service import get_readable
from core.errors import ConcurrentChangeError, UserError
from core.mail.draft import RecipientField
from core.registry import current_registry
from core.web.forms import submit
from modules.mail_config import revisions, selection
from modules.mail_config import templates_service as service
from modules.mail_config.editor import obstacles, to_editor
from modules.mail_config.models import MailTemplate, RecipientRule, TemplateRevision
from modules.mail_config.template_form import (
    FIELDS,
    RULES,
    RULES_WITH_A_VALUE,
    TypedTemplate,
    newest_change,
)
from modules.mail_config.text_differences import Piece, compare
from modules.mail_config.views.blueprint import blueprint
from modules.mail_config.views.templates_fields import field_groups, functions_in_use


def template_or_404(template_id: int) -> MailTemplate:
    """Return a template."""
    return db.session.get(MailTemplate, template_id) or abort(404)


def kind_or_404(kind: str) -> str:
    """Return the name of a kind that is enabled."""
    return kind if kind in current_registry().kinds else abort(404)


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


@blueprint.get("/templates")
@requires("mail_config.template.edit")
def templates() -> ResponseReturnValue:
    """List the templates by kind."""
    rows = list(
        db.session.scalars(
            select(MailTemplate).order_by(MailTemplate.kind, MailTemplate.position, MailTemplate.id)
        )
    )
    by_kind: dict[str, list[MailTemplate]] = {kind: [] for kind in current_registry().kinds}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)  # also those of a module that is not enabled now
    return render_template(
        "mail_config/mail_templates/templates.html",
        by_kind=by_kind,
        enabled=current_registry().kinds,
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


@blueprint.route("/templates/new/<kind>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template_new(kind: str) -> ResponseReturnValue:
    """Add a template for a kind of document."""
    return _edit(None, kind_or_404(kind))


@blueprint.route("/templates/<int:template_id>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template(template_id: int) -> ResponseReturnValue:
    """Change a template."""
    row = template_or_404(template_id)
    return _edit(row, row.kind)


@blueprint.post("/templates/<int:template_id>/duplicate")
@requires("mail_config.template.edit")
def template_duplicate(template_id: int) -> ResponseReturnValue:
    """Make a copy of a template; it is switched off until somebody has looked at it."""
    row = template_or_404(template_id)
    typed = TypedTemplate.stored(row, row.kind)
    name = str(gettext("%(name)s (copy)", name=gettext(row.name)))
    copy = service.save_template(
        None,
        kind=row.kind,
        values={**typed.values, "name": name[:120], "active": False},
        texts=typed.sources,
        recipients=typed.chosen_recipients,
        files=typed.attachments,
        by=signed_in_user(),
    )
    flash(gettext("This is the copy. It is switched off until you make it active."), "success")
    return redirect(url_for("mail_config.template", template_id=copy.id))


@blueprint.post("/templates/<int:template_id>/delete")
@requires("mail_config.template.edit")
def template_delete(template_id: int) -> ResponseReturnValue:
    """Delete a template."""
    service.delete_template(template_or_404(template_id))
    flash(gettext("The template was deleted."), "success")
    return redirect(url_for("mail_config.templates"))


def _edit(row: MailTemplate | None, kind: str) -> ResponseReturnValue:
    """Show the page of a template; save what it has posted, or show it again with what is wrong."""
    if request.method == "GET":
        return show(TypedTemplate.stored(row, kind))
    typed = TypedTemplate.posted(row, kind)
    saved: list[MailTemplate] = []
    others: list[TemplateRevision] = []

    def save() -> None:
        try:
            saved.append(_save(typed))
        except ConcurrentChangeError:
            others.extend(_unseen_changes(typed))

    if submit(typed.form, save) and saved:
        flash(gettext("The template was saved."), "success")
        return redirect(url_for("mail_config.template", template_id=saved[0].id))
    return show(typed, others), 422


def _save(typed: TypedTemplate) -> MailTemplate:
    typed.check()
    if typed.wrong:
        count = sum(len(found) for found in typed.problems.values()) + sum(
            1 for row in typed.recipients if row.error
        )
        raise UserError(
            ngettext(
                "One place needs another look before this can be saved.",
                "%(num)d places need another look before this can be saved.",
                max(1, count),
            )
        )
    return service.save_template(
        typed.row,
        kind=typed.kind,
        values=typed.values,
        texts=typed.sources,
        recipients=typed.chosen_recipients,
        files=typed.attachments,
        seen_revision=typed.seen_revision if typed.row is not None else None,
        by=signed_in_user(),
    )


def _unseen_changes(typed: TypedTemplate) -> list[TemplateRevision]:
    """Return what others have saved since the page was shown, newest first; pressing Save again goes over it."""
    row = typed.row
    if row is None:
        return []
    db.session.refresh(row)
    found = [change for change in revisions.history(row) if change.id > typed.seen_change]
    typed.seen_revision, typed.seen_change = row.revision, newest_change(row)
    return found


def show(typed: TypedTemplate, others: list[TemplateRevision] | None = None) -> str:
    """Return the page of a template.

    Args:
        typed: What stands on it.
        others: What others have saved meanwhile, newest first.
    """
    samples = {text.language: service.samples(typed.kind, None, text.language) for text in typed.texts}
    return render_template(
        "mail_config/mail_templates/template.html",
        typed=typed,
        form=typed.form,
        template=typed.row,
        kind=typed.kind,
        others=others or [],
        differences=_differences(typed, others or []),
        editors={
            text.language: editor_of(
                typed.kind, text.body, samples[text.language], typed.wrong_in(text.language)
            )
            for text in typed.texts
        },
        groups=field_groups(typed.kind, samples[typed.texts[0].language]),
        rules=RULES,
        rules_with_a_value=RULES_WITH_A_VALUE,
        recipient_fields=FIELDS,
        functions=functions_in_use(),
        language_name=selection.language_name,
    )


def editor_of(
    kind: str, body: str, samples: dict[str, str], wrong: Container[str] = ()
) -> tuple[str, list[str]]:
    """Return a text for the rich-text editor, and what keeps it from being edited there."""
    found = obstacles(body)
    return ("" if found else to_editor(body, kind, samples, wrong)), found


def shown_changes(changes: list[revisions.Change]) -> list[tuple[str, list[Piece]]]:
    """Return changes as a page shows them: the title of each, and the pieces of its text."""
    shown = []
    for change in changes:
        before, after = change.before, change.after
        if change.field == "recipients":
            before, after = _recipients_in_words(before), _recipients_in_words(after)
        shown.append((change.title, compare(before, after, is_html=change.field.startswith("body_"))))
    return shown


def _recipients_in_words(text: str) -> str:
    lines = []
    for line in text.splitlines():
        where, _, rest = line.partition(": ")
        rule, _, value = rest.partition(" ")
        titles = (FIELDS.get(RecipientField(where), where), RULES.get(RecipientRule(rule), rule))
        lines.append(f"{titles[0]}: {titles[1]} {value}".strip())
    return "\n".join(lines)


def _differences(typed: TypedTemplate, others: list[TemplateRevision]) -> list[tuple[str, list[Piece]]]:
    """Return what others have changed, all their changes together."""
    if not others or typed.row is None:
        return []
    known = revisions.history(typed.row)
    before = next((change for change in known if change.id < others[-1].id), None)
    return shown_changes(revisions.difference(before, others[0])) if before is not None else []
