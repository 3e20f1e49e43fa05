"""The history of a template, and the way back: to an earlier version, or to what the module ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.mail.draft import Priority
from modules.mail_config.blueprint import blueprint
from modules.mail_config.mail_templates import revisions, service
from modules.mail_config.mail_templates.snapshot import to_text
from modules.mail_config.mail_templates.views.listing import shown_changes, template_or_404
from modules.mail_config.mail_templates.word_diff import Piece
from modules.mail_config.models import MailTemplate, MailTemplateText, TemplateRevision

SHOWN_VERSIONS = 50  # the newest; all are kept


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a template as the history shows it.

    Attributes:
        row: The version.
        changes: What it has changed, each with its title and the pieces of the text; None for the first one.
        is_now: True when the template says this at present.
        missing_files: Names of its files that are no longer kept.
    """

    row: TemplateRevision
    changes: list[tuple[str, list[Piece]]] | None
    is_now: bool
    missing_files: list[str]


@blueprint.get("/templates/<int:template_id>/history")
@requires("mail_config.template.edit")
def template_history(template_id: int) -> ResponseReturnValue:
    """Show who has changed a template, when and what."""
    row = template_or_404(template_id)
    known = revisions.history(row)
    now = to_text(row)
    versions = []
    for newer, older in zip(known, [*known[1:], None], strict=True):
        changes = shown_changes(revisions.difference(older, newer)) if older is not None else None
        is_now = newer is known[0] and newer.contents == now
        missing = [] if is_now else revisions.missing_files(newer)
        versions.append(Version(newer, changes, is_now, missing))
        if len(versions) == SHOWN_VERSIONS:
            break
    return render_template(
        "mail_config/mail_templates/history.html",
        template=row,
        versions=versions,
        more=len(known) > SHOWN_VERSIONS,
    )


@blueprint.route("/templates/<int:template_id>/restore/<int:revision_id>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template_restore(template_id: int, revision_id: int) -> ResponseReturnValue:
    """Show what going back to a version would change, and do it once it is confirmed."""
    row = template_or_404(template_id)
    version = db.session.get(TemplateRevision, revision_id)
    if version is None or version.template_id != row.id:
        abort(404)
    changes = revisions.difference(TemplateRevision(contents=to_text(row)), version)
    return _confirmed(
        row,
        lambda: revisions.restore(row, version, signed_in_user()),
        changes,
        title=gettext("Restore this version"),
        version=version,
        missing_files=revisions.missing_files(version),
    )


@blueprint.route("/templates/<int:template_id>/original", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template_original(template_id: int) -> ResponseReturnValue:
    """Show what restoring the original would change, and do it once it is confirmed."""
    row = template_or_404(template_id)
    original = service.shipped_original(row)
    if original is None:
        abort(404)
    shipped = MailTemplate(
        kind=row.kind,
        name=original.name,
        attachment_name=original.attachment_name,
        reply_to="",
        position=row.position,
        priority=Priority.NORMAL,
        delivery_receipt=False,
        read_receipt=False,
        active=row.active,
        shipped_key=row.shipped_key,
    )
    shipped.texts = [
        MailTemplateText(language=language, subject=subject, body=body)
        for language, (subject, body) in original.texts.items()
    ]
    changes = revisions.difference(
        TemplateRevision(contents=to_text(row)), TemplateRevision(contents=to_text(shipped))
    )
    return _confirmed(
        row,
        lambda: service.restore_shipped(row, signed_in_user()),
        changes,
        title=gettext("Restore the original"),
    )


def _confirmed(
    row: MailTemplate,
    restore: Callable[[], object],
    changes: list[revisions.Change],
    *,
    title: str,
    version: TemplateRevision | None = None,
    missing_files: list[str] | None = None,
) -> ResponseReturnValue:
    if request.method == "POST":
        try:
            restore()
        except UserError as error:
            flash(str(error.message), "danger")
        else:
            flash(gettext("It was restored. What the template said before stands in its history."), "success")
        return redirect(url_for("mail_config.template", template_id=row.id))
    return render_template(
        "mail_config/mail_templates/restore.html",
        template=row,
        title=title,
        version=version,
        changes=shown_changes(changes),
        missing_files=missing_files or [],
    )
