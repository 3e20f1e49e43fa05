"""Mail templates: list, editor, preview."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import (
    BooleanField,
    EmailField,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import NumberRange, Optional

from core.auth.permissions import requires, signed_in_user
from core.companies.models import Company
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.documents.models import Document
from core.documents.service import readable_by
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.registry import current_registry
from core.web.forms import at_most, required, submit
from core.web.security import foreign_html
from modules.mail_config import templates_service as service
from modules.mail_config.models import MailTemplate
from modules.mail_config.views.blueprint import blueprint


class TemplateForm(FlaskForm):  # type: ignore[misc]
    """A template with its texts in English and French."""

    name = StringField(_l("Name"), [*required(), at_most(120)])
    company_id = SelectField(_l("Company"), coerce=int)
    attachment_name = StringField(
        _l("File name of the PDF"), [at_most(200)], description=_l("With fields; empty for the usual name")
    )
    reply_to = EmailField(_l("Answers to"), [at_most(254)], description=_l("Empty: whoever sends"))
    position = IntegerField(
        _l("Position"),
        [*required(), NumberRange(0, 9999)],
        default=10,
        description=_l("Lower numbers are offered first"),
    )
    keep_days = IntegerField(
        _l("Keep for … days"),
        [Optional(), NumberRange(0, 36_500)],
        description=_l(
            "Text and files of its mails; the line with subject, recipients and states stays. 0: until everybody "
            "has accepted. Empty: as everywhere"
        ),
    )
    active = BooleanField(_l("Active"), default=True)
    subject_en = StringField(_l("Subject (English)"), [at_most(500)])
    body_en = TextAreaField(_l("Text (English)"), render_kw={"rows": 10})
    subject_fr = StringField(_l("Subject (French)"), [at_most(500)])
    body_fr = TextAreaField(_l("Text (French)"), render_kw={"rows": 10})


def _template(template_id: int) -> MailTemplate:
    return db.session.get(MailTemplate, template_id) or abort(404)


def _form(template: MailTemplate | None) -> TemplateForm:
    data: dict[str, Any] = {}
    if template is not None:
        data["company_id"] = template.company_id or 0
        for text in template.texts:
            data[f"subject_{text.language}"], data[f"body_{text.language}"] = text.subject, text.body
        fields = ("name", "attachment_name", "reply_to", "position", "keep_days", "active")
        data |= {name: getattr(template, name) for name in fields}
    form = TemplateForm(data=data)
    rows = db.session.execute(select(Company.id, Company.name).order_by(Company.name))
    form.company_id.choices = [(0, gettext("All companies")), *((row.id, row.name) for row in rows)]
    return form


def _save(form: TemplateForm, template: MailTemplate | None, kind: str) -> MailTemplate:
    data = form.data
    texts = {
        language: (data[f"subject_{language}"] or "", data[f"body_{language}"] or "")
        for language in SUPPORTED_LANGUAGES
        if data[f"subject_{language}"] or data[f"body_{language}"]
    }
    for field, sentences in service.check_template(kind, texts, data["attachment_name"] or "").items():
        form[field].errors = [*form[field].errors, *sentences]
    if any(field.errors for field in form):
        raise UserError(gettext("Some fields need another look."))
    names = ("name", "attachment_name", "reply_to", "position", "keep_days", "active")
    values = {name: data[name] for name in names} | {"company_id": data["company_id"] or None}
    return service.save_template(template, kind=kind, values=values, texts=texts)


@blueprint.get("/templates")
@requires("mail_config.template.edit")
def templates() -> ResponseReturnValue:
    """List the templates by kind."""
    rows = list(
        db.session.scalars(
            select(MailTemplate).order_by(MailTemplate.kind, MailTemplate.position, MailTemplate.id)
        )
    )
    kinds = current_registry().kinds
    return render_template("mail_config/templates.html", rows=rows, kinds=kinds)


def _edit(template: MailTemplate | None, kind: str) -> ResponseReturnValue:
    form = _form(template)
    saved: list[MailTemplate] = []
    if submit(form, lambda: saved.append(_save(form, template, kind))):
        flash(gettext("The template was saved."), "success")
        return redirect(url_for("mail_config.template", template_id=saved[0].id))
    return render_template(
        "mail_config/template.html",
        form=form,
        template=template,
        kind=kind,
        fields=service.catalogue(kind),
        documents=_recent(kind),
        missing=[
            code
            for code in SUPPORTED_LANGUAGES
            if template and code not in {t.language for t in template.texts}
        ],
    )


def _recent(kind: str) -> list[Document]:
    return list(
        db.session.scalars(
            select(Document)
            .where(Document.kind == kind, readable_by(signed_in_user()))
            .order_by(Document.id.desc())
            .limit(20)
        )
    )


@blueprint.route("/templates/new/<kind>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template_new(kind: str) -> ResponseReturnValue:
    """Add a template for a kind of document."""
    if kind not in current_registry().kinds:
        abort(404)
    return _edit(None, kind)


@blueprint.route("/templates/<int:template_id>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template(template_id: int) -> ResponseReturnValue:
    """Change a template."""
    row = _template(template_id)
    return _edit(row, row.kind)


@blueprint.get("/templates/<int:template_id>/preview")
@requires("mail_config.template.edit")
def template_preview(template_id: int) -> ResponseReturnValue:
    """Show what a template makes of a document; in a sandboxed frame."""
    row = _template(template_id)
    document = db.session.scalar(
        select(Document).where(
            Document.id == request.args.get("document", 0, type=int),
            Document.kind == row.kind,
            readable_by(signed_in_user()),
        )
    )
    if document is None:
        abort(404)
    try:
        rendered, name = service.render_for(row, document), service.pdf_name_for(row, document)
    except UserError as error:
        return foreign_html(render_template("mail_config/mail/preview.html", error=str(error)))
    return foreign_html(
        render_template(
            "mail_config/mail/preview.html", subject=rendered.subject, body=rendered.body_html, name=name
        )
    )


@blueprint.post("/templates/<int:template_id>/delete")
@requires("mail_config.template.edit")
def template_delete(template_id: int) -> ResponseReturnValue:
    """Delete a template."""
    service.delete_template(_template(template_id))
    flash(gettext("The template was deleted."), "success")
    return redirect(url_for("mail_config.templates"))
