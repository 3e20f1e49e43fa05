"""The page of a template."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import ConcurrentChangeError, UserError
from core.web.forms import submit
from core.web.record_form import Conflict
from modules.mail_config.blueprint import blueprint
from modules.mail_config.editor.after_saving import notes_about
from modules.mail_config.editor.form import (
    TypedTemplate,
    newest_change,
)
from modules.mail_config.editor.to_editor import obstacles, to_editor
from modules.mail_config.editor.views.fields import field_groups, functions_in_use
from modules.mail_config.mail_templates import revisions, selection, service
from modules.mail_config.mail_templates.titles import FIELDS, RULES, RULES_WITH_A_VALUE
from modules.mail_config.mail_templates.views.listing import kind_or_404, shown_changes, template_or_404
from modules.mail_config.mail_templates.word_diff import Piece
from modules.mail_config.models import MailTemplate, TemplateRevision
from modules.mail_config.template_language.fields import OF_CUSTOMERS


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
        for note in notes_about(saved[0]):
            flash(note, "warning")
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
    return render_template(
        "mail_config/editor/template.html",
        differences=_differences(typed, others or []),
        **page_of(typed, others),
    )


def page_of(typed: TypedTemplate, others: list[TemplateRevision] | None = None) -> dict[str, Any]:
    """Return what the page of a template is made of; modules whose page extends it ask here as well."""
    samples = {text.language: service.samples(typed.kind, None, text.language) for text in typed.texts}
    return {
        "typed": typed,
        "form": typed.form,
        "template": typed.row,
        "kind": typed.kind,
        "of_documents": typed.kind not in OF_CUSTOMERS,
        "conflict": _conflict(others) if others else None,
        "editors": {
            text.language: editor_of(
                typed.kind, text.body, samples[text.language], typed.wrong_in(text.language)
            )
            for text in typed.texts
        },
        "groups": field_groups(typed.kind, samples[typed.texts[0].language]),
        "rules": RULES,
        "rules_with_a_value": RULES_WITH_A_VALUE,
        "recipient_fields": FIELDS,
        "functions": functions_in_use(),
        "language_name": selection.language_name,
    }


def _conflict(others: list[TemplateRevision]) -> Conflict:
    newest = others[0]
    own = newest.by_user_id == signed_in_user().id
    return Conflict(newest.by_user.name if newest.by_user else "", own, newest.at)


def editor_of(
    kind: str, body: str, samples: dict[str, str], wrong: Container[str] = ()
) -> tuple[str, list[str]]:
    """Return a text for the rich-text editor, and what keeps it from being edited there."""
    found = obstacles(body)
    return ("" if found else to_editor(body, kind, samples, wrong)), found


def _differences(typed: TypedTemplate, others: list[TemplateRevision]) -> list[tuple[str, list[Piece]]]:
    """Return what others have changed, all their changes together."""
    if not others or typed.row is None:
        return []
    known = revisions.history(typed.row)
    before = next((change for change in known if change.id < others[-1].id), None)
    return shown_changes(revisions.difference(before, others[0])) if before is not None else []
