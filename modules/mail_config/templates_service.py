"""The verbs of mail templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from flask_babel import force_locale, gettext
from sqlalchemy import ColumnElement, delete, select, true

from core.db import db, transaction
from core.documents.behavior import DocumentBehavior, FieldSpec
from core.documents.models import Document
from core.documents.service import behavior_of, file_name
from core.errors import UserError
from core.mail.addresses import normalize
from core.mail.draft import safe_file_name
from core.registry import current_registry, resolve
from modules.mail_config import templating
from modules.mail_config.models import MailTemplate, MailTemplateText
from modules.mail_config.templating import Rendered


def catalogue(kind: str) -> list[FieldSpec]:
    """Return the fields that templates of a kind may use; [] when its module is not enabled."""
    declared = current_registry().kinds.get(kind)
    if declared is None:
        return []
    return list(cast("DocumentBehavior", resolve(declared.behavior)).catalogue)


def templates_for(document: Document) -> list[MailTemplate]:
    """Return the active templates for a document, the one that applies first.

    Those of the document's company go before those of all companies, then by position.
    """
    return list(
        db.session.scalars(
            select(MailTemplate)
            .where(
                MailTemplate.kind == document.kind,
                MailTemplate.active == true(),
                _for_company(document.company_id),
            )
            .order_by(MailTemplate.company_id.is_(None), MailTemplate.position, MailTemplate.id)
        )
    )


def _for_company(company_id: int) -> ColumnElement[bool]:
    return (MailTemplate.company_id == company_id) | MailTemplate.company_id.is_(None)


def language_of(template: MailTemplate, document: Document) -> str:
    """Return the language in which a template speaks about a document."""
    text = template.text(document.language)
    return text.language if text else document.language


def render_for(template: MailTemplate, document: Document) -> Rendered:
    """Return subject and body.

    The language is the document's if the template has it, else the template's fallback: never two.

    Raises:
        UserError: The template is empty or uses an unknown field.
    """
    text = template.text(document.language)
    if text is None:
        raise UserError(gettext("The template “%(name)s” has no text.", name=template.name))
    with force_locale(text.language):
        return templating.render(text.subject, text.body, behavior_of(document).fields(document))


def pdf_name_for(template: MailTemplate, document: Document) -> str:
    """Return the file name of the PDF by the pattern of a template.

    Raises:
        BadTemplateError: The pattern uses an unknown field.
    """
    if not template.attachment_name:
        return file_name(document)
    with force_locale(language_of(template, document)):
        line = templating.render_line(template.attachment_name, behavior_of(document).fields(document))
    name = safe_file_name(line.replace("/", "-").replace(" ", "_"), fallback="") or file_name(document)
    return name if name.lower().endswith(".pdf") else f"{name}.pdf"


def check_template(
    kind: str, texts: Mapping[str, tuple[str, str]], attachment_name: str
) -> dict[str, list[str]]:
    """Return what is wrong, by form field (`subject_en`, `body_fr`, `attachment_name`); {} for nothing."""
    known = [field.name for field in catalogue(kind)]
    problems: dict[str, list[str]] = {}
    for language, (subject, body) in texts.items():
        if not subject.strip():
            problems[f"subject_{language}"] = [gettext("A subject is needed.")]
        for name, source in (("subject", subject), ("body", body)):
            found = templating.check(source, known, field=name)
            if found:
                problems.setdefault(f"{name}_{language}", []).extend(found)
    found = templating.check(attachment_name, known, field="attachment_name")
    if found:
        problems["attachment_name"] = found
    return problems


def save_template(
    template: MailTemplate | None,
    *,
    kind: str,
    values: Mapping[str, Any],
    texts: Mapping[str, tuple[str, str]],
) -> MailTemplate:
    """Create or change a template.

    Args:
        template: The template to change, or None for a new one.
        kind: Document kind of a new one.
        values: `name, company_id, attachment_name, reply_to, position, active`.
        texts: Subject and body by language; a language without text is left out.

    Raises:
        UserError: With the first problem; call `check_template` before to show all of them.
    """
    if not texts:
        raise UserError(gettext("A template needs a text in at least one language."), "subject_en")
    for field, sentences in check_template(kind, texts, str(values.get("attachment_name", ""))).items():
        raise UserError(sentences[0], field)
    if values.get("reply_to"):
        try:
            normalize(str(values["reply_to"]))
        except UserError as error:
            raise UserError(error.message, "reply_to") from error
    with transaction() as session:
        template = template or MailTemplate(kind=kind)
        for name, value in values.items():
            setattr(template, name, value)
        session.add(template)
        by_language = {text.language: text for text in template.texts}
        for language in set(by_language) - set(texts):
            template.texts.remove(by_language[language])
        for language, (subject, body) in texts.items():
            text = by_language.get(language)
            if text is None:
                template.texts.append(MailTemplateText(language=language, subject=subject, body=body))
            else:
                text.subject, text.body = subject, body
        session.flush()
    return template


def delete_template(template: MailTemplate) -> None:
    """Delete a template; mails that were made from it stay as they are."""
    with transaction() as session:
        session.execute(delete(MailTemplateText).where(MailTemplateText.template_id == template.id))
        session.expire(template)
        session.delete(template)
