"""The verbs of mail templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import current_app
from flask_babel import gettext
from sqlalchemy import func, select

from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.behavior import ShippedTemplate
from core.documents.locale import speaking
from core.documents.models import Document
from core.documents.service import file_name
from core.errors import ConcurrentChangeError, UserError
from core.files import FileStore
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize, one_line
from core.mail.draft import DraftAttachment, Priority, safe_file_name
from core.partners.models import Partner
from modules.mail_config.mail_templates.selection import language_of, offered, text_for
from modules.mail_config.mail_templates.snapshot import to_text
from modules.mail_config.mail_templates.unusable import told_by_name
from modules.mail_config.mail_templates.validation import (
    RecipientChoice,
    check_in_detail,
    check_template,
    checked_recipients,
)
from modules.mail_config.models import (
    MailTemplate,
    MailTemplateText,
    TemplateFile,
    TemplateRecipient,
    TemplateRevision,
)
from modules.mail_config.template_language import render
from modules.mail_config.template_language.customer_mail import Subject
from modules.mail_config.template_language.fields import catalogue, samples, shipped_templates, values_of
from modules.mail_config.template_language.render import Rendered
from modules.mail_config.template_language.tags import normalize as normalize_formulas

__all__ = [
    "RecipientChoice",
    "catalogue",
    "check_in_detail",
    "check_template",
    "checked_values",
    "delete_template",
    "keep_revision",
    "language_of",
    "pdf_name_for",
    "render_for",
    "restore_shipped",
    "samples",
    "save_template",
    "shipped_original",
    "store_template",
    "templates_for",
]

MAX_FILES = 20  # of a template; each goes with every mail
MAX_FILE_BYTES = 20_000_000
"""All files of a template together."""
MAX_NAME = 120  # characters, as the column has
_NUMBERS: Mapping[str, tuple[int, int]] = {"position": (0, 9999), "keep_days": (0, 36_500)}
_COLUMNS = frozenset(
    {
        "name", "company_id", "owner_id", "partner_id", "attachment_name", "reply_to", "position", "keep_days",
        "priority", "delivery_receipt", "read_receipt", "active",
    }
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- render


def templates_for(document: Subject, user: User | None = None) -> list[MailTemplate]:
    """Return the active templates for a document, the one that applies first; see `selection.offered`."""
    return [offer.template for offer in offered(document, user)]


def render_for(template: MailTemplate, document: Subject, *, language: str | None = None) -> Rendered:
    """Return subject and body of a mail about a document, in one language.

    Args:
        template: The template.
        document: The document.
        language: The language that is wanted instead of the document's; one that the template does not have falls
            back as the document's does.

    Raises:
        UserError: The template is empty, uses an unknown field or has a formula that cannot be computed.
    """
    text = text_for(template, document, language=language)
    if text is None:
        raise UserError(gettext("The template “%(name)s” has no text.", name=template.name))
    with told_by_name(template), speaking(document, text.language):
        return render.render(text.subject, text.body, values_of(document), currency=document.currency)


def pdf_name_for(template: MailTemplate, document: Document, *, language: str | None = None) -> str:
    """Return the file name of the PDF by the pattern of a template, in the language of its mail.

    Raises:
        BadTemplateError: The pattern uses an unknown field, or has a formula that cannot be computed.
    """
    text = text_for(template, document, language=language)
    language = text.language if text else document.language
    usual = file_name(document, language)
    if not template.attachment_name:
        return usual
    with told_by_name(template), speaking(document, language):
        line = render.render_line(template.attachment_name, values_of(document), currency=document.currency)
    # Numbers have slashes; blanks become %20 in some readers' folders.
    name = safe_file_name(line.replace(" ", "_"), fallback="") or usual
    return name if name.lower().endswith(".pdf") else f"{name}.pdf"


# --------------------------------------------------------------------------------------------------------- save


def save_template(
    template: MailTemplate | None,
    *,
    kind: str,
    values: Mapping[str, Any],
    texts: Mapping[str, tuple[str, str]],
    recipients: Sequence[RecipientChoice] | None = None,
    files: Sequence[DraftAttachment] | None = None,
    seen_revision: int | None = None,
    by: User | None = None,
) -> MailTemplate:
    """Create or change a template, and keep in its history what it says then.

    Args:
        template: The template to change, or None for a new one.
        kind: Document kind of a new one.
        values: `name, company_id, owner_id, partner_id, attachment_name, reply_to, position, keep_days, priority,
            delivery_receipt, read_receipt, active`; what is not named stays, and is the usual in a new one, whose
            position is the last.
        texts: Subject and body by language; a language that is not named goes.
        recipients: Its default recipients, or None to leave them as they are; [] for the followers.
        files: What goes with every mail, bytes in the store already; None to leave them as they are.
        seen_revision: The revision that the person had before them, or None when it does not matter.
        by: Who changes it.

    Raises:
        UserError: With the first problem; call `check_template` before to show all of those of the texts.
        ConcurrentChangeError: Somebody else has changed it since.
    """
    if not texts:
        raise UserError(gettext("A template needs a text in at least one language."), "subject_en")
    kind = template.kind if template is not None else kind
    # Here as well, not in the form only: an import and the command line come this way.
    company_id = values.get("company_id", template.company_id if template is not None else None)
    found = check_template(kind, texts, str(values.get("attachment_name") or ""), company_id=company_id)
    for field, sentences in found.items():
        raise UserError(sentences[0], field)
    return store_template(
        template,
        kind=kind,
        values=values,
        texts=texts,
        recipients=recipients,
        files=files,
        seen_revision=seen_revision,
        by=by,
    )


def store_template(
    template: MailTemplate | None,
    *,
    kind: str,
    values: Mapping[str, Any],
    texts: Mapping[str, tuple[str, str]],
    recipients: Sequence[RecipientChoice] | None = None,
    files: Sequence[DraftAttachment] | None = None,
    seen_revision: int | None = None,
    by: User | None = None,
) -> MailTemplate:
    """Do what `save_template` does for texts that `check_template` has passed: trying them takes its time."""
    checked = checked_values(values, is_new=template is None)
    chosen = None if recipients is None else checked_recipients(recipients)
    if files is not None:
        _check_files(files)
    with transaction() as session:
        if template is None:
            template = MailTemplate(kind=kind, revision=0, position=_last_position(kind))
            session.add(template)
        else:
            # Locked: of two people who save at once, the second is told, and nobody's text is lost.
            session.refresh(template, ["revision"], with_for_update=True)
            _check_revision(template, seen_revision)
            _keep_first_revision(template)
        # Compared as a whole: a form that is saved unchanged makes no revision.
        before = to_text(template) if template.id else ""
        for name, value in checked.items():
            setattr(template, name, value)
        _put_texts(template, texts)
        if chosen is not None:
            template.recipients = [
                TemplateRecipient(position=position, rule=row.rule, field=row.field, value=row.value)
                for position, row in enumerate(chosen)
            ]
        if files is not None:
            template.files = [
                TemplateFile(
                    position=position,
                    name=safe_file_name(file.name, may_be_path=True),
                    media_type=file.media_type,
                    size=file.size,
                    sha256=file.sha256,
                )
                for position, file in enumerate(files)
            ]
        session.flush()
        session.refresh(template)
        if to_text(template) != before:
            template.revision += 1
            keep_revision(template, by)
    return template


def keep_revision(template: MailTemplate, by: User | None) -> None:
    """Add what a template says now to its history, inside the running transaction."""
    with transaction() as session:
        session.flush()
        session.add(
            TemplateRevision(
                template_id=template.id, by_user_id=by.id if by else None, contents=to_text(template)
            )
        )
        session.flush()


def _last_position(kind: str) -> int:
    """Return a position behind every other template: a new one is offered, and applies where somebody says so."""
    last = db.session.scalar(select(func.max(MailTemplate.position)).where(MailTemplate.kind == kind))
    return min((last or 0) + 10, _NUMBERS["position"][1])


def checked_values(values: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    """Return the values as they are stored.

    Raises:
        UserError: One of them cannot be.
    """
    unknown = set(values) - _COLUMNS
    if unknown:
        raise ValueError(f"A template has no {', '.join(sorted(unknown))}.")
    checked = dict(values)
    if "name" in checked or is_new:
        checked["name"] = _checked_name(str(checked.get("name") or ""))
    if checked.get("attachment_name"):
        checked["attachment_name"] = normalize_formulas(str(checked["attachment_name"]), is_html=False)
    if checked.get("reply_to"):
        checked["reply_to"] = normalize(str(checked["reply_to"]), "reply_to")
    if "priority" in checked:
        checked["priority"] = Priority(checked["priority"])
    for name, (low, high) in _NUMBERS.items():
        value = checked.get(name)
        if value is not None and not low <= int(value) <= high:
            raise UserError(
                _l("A whole number from %(low)s to %(high)s is needed.", low=low, high=high), name
            )
    if checked.get("company_id") is not None and db.session.get(Company, checked["company_id"]) is None:
        raise UserError(_l("This company does not exist any more."), "company_id")
    if checked.get("partner_id") is not None and db.session.get(Partner, checked["partner_id"]) is None:
        raise UserError(_l("This customer does not exist any more."), "partner_id")
    return checked


def _checked_name(name: str) -> str:
    name = one_line(name)
    if not name:
        raise UserError(_l("A name is needed."), "name")
    if len(name) > MAX_NAME:
        raise UserError(_l("The name has at most %(most)s characters.", most=MAX_NAME), "name")
    return name


def _check_files(files: Sequence[DraftAttachment]) -> None:
    """Raise `UserError` when files are too many, too large, or gone from the store."""
    store: FileStore = current_app.extensions["envoi_files"]
    if len(files) > MAX_FILES:
        raise UserError(_l("A template has at most %(most)s files.", most=MAX_FILES), "files")
    if sum(file.size for file in files) > MAX_FILE_BYTES:
        raise UserError(
            _l("The files of a template have at most %(most)s MB together.", most=MAX_FILE_BYTES // 10**6),
            "files",
        )
    for file in files:
        if not store.touch(file.sha256):
            raise UserError(_l("“%(name)s” is gone from the store. Add it again.", name=file.name), "files")


def _check_revision(template: MailTemplate, seen_revision: int | None) -> None:
    if seen_revision is not None and seen_revision != template.revision:
        raise ConcurrentChangeError(
            _l("Somebody else has changed this template since you opened it. Reload the page to see it.")
        )


def _keep_first_revision(template: MailTemplate) -> None:
    """Keep what a template says before its first change, if nobody has yet: it may be wanted again."""
    known = select(TemplateRevision.id).where(TemplateRevision.template_id == template.id).limit(1)
    if db.session.scalar(known) is None:
        keep_revision(template, None)


def _put_texts(template: MailTemplate, texts: Mapping[str, tuple[str, str]]) -> None:
    """Make the texts of a template those that are given; languages that are not named go."""
    by_language = {text.language: text for text in template.texts}
    # Rows that stay are changed, not made anew: the unique pair of template and language would collide.
    for language in set(by_language) - set(texts):
        template.texts.remove(by_language[language])
    for language, (typed_subject, typed_body) in texts.items():
        subject = normalize_formulas(typed_subject, is_html=False).strip()
        body = normalize_formulas(typed_body, is_html=True)
        text = by_language.get(language)
        if text is None:
            template.texts.append(MailTemplateText(language=language, subject=subject, body=body))
        else:
            text.subject, text.body = subject, body


# ---------------------------------------------------------------------------------------------- delete, restore


def shipped_original(template: MailTemplate) -> ShippedTemplate | None:
    """Return what the module ships today for a template that came with it, or None."""
    for shipped in shipped_templates(template.kind):
        if template.shipped_key == shipped_key(template.kind, shipped):
            return shipped
    return None


def shipped_key(kind: str, shipped: ShippedTemplate) -> str:
    """Return what names a template of a module for ever."""
    return f"{kind}/{shipped.name}"[:120]


def restore_shipped(template: MailTemplate, by: User | None) -> MailTemplate:
    """Give a template that came with a module what the module ships today: texts and settings.

    Its place in the list, and whether it is active, stay. What it said before stays in its history.

    Raises:
        UserError: It did not come with a module, or the module no longer brings it.
    """
    shipped = shipped_original(template)
    if shipped is None:
        raise UserError(_l("This template has no original: it did not come with a module."))
    values = {
        "name": shipped.name,
        "company_id": None,
        "partner_id": None,
        "attachment_name": shipped.attachment_name,
        "reply_to": "",
        "keep_days": None,
        "priority": Priority.NORMAL,
        "delivery_receipt": False,
        "read_receipt": False,
    }
    return save_template(
        template, kind=template.kind, values=values, texts=shipped.texts, recipients=[], files=[], by=by
    )


def delete_template(template: MailTemplate) -> None:
    """Delete a template with its history; mails that were made from it stay as they are."""
    with transaction() as session:
        session.delete(template)


def withdraw_template(template_id: int, by: User) -> str:
    """Delete a template that somebody has saved and nobody has changed since, and return its name.

    Raises:
        UserError: It is gone, somebody else's, or not as it was.
    """
    with transaction() as session:
        template = session.get(MailTemplate, template_id, with_for_update={"of": MailTemplate})
        makers = session.scalars(
            select(TemplateRevision.by_user_id).where(TemplateRevision.template_id == template_id)
        ).all()
        # One revision, by this person: anything else means that somebody relies on it by now.
        if template is None or makers != [by.id]:
            raise UserError(_l("Somebody has changed this template since. An administrator can delete it."))
        name = template.name
        delete_template(template)
    return name
