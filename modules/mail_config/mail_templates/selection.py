"""Which template applies to a document, in which language, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babel import Locale
from flask_babel import get_locale, gettext
from sqlalchemy import select, true

from core.auth.models import User
from core.auth.permissions import shared_rows
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.documents.service import preferred_template
from core.partners.service import customer_of
from modules.mail_config.models import MailTemplate, MailTemplateText
from modules.mail_config.template_language.customer_mail import Subject

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Offer:
    """A template that may be used for a document.

    Attributes:
        template: The template.
        language: The one language in which it would speak: text, dates, amounts and file names.
        why: Why it stands where it stands, one phrase each: whom it is for, and why in this language.
    """

    template: MailTemplate
    language: str
    why: list[str]


def offered(document: Subject, user: User | None = None) -> list[Offer]:
    """Return the active templates for a document, the one that applies first; `rule_text` says by which rule.

    Args:
        document: The document.
        user: Who writes, and is offered as well what they, or colleagues for the company, have saved. None where
            nobody chooses.
    """
    partners = _partners(document)
    preferred = preferred_template(document) if isinstance(document, Document) else None
    rows = db.session.scalars(
        select(MailTemplate).where(
            MailTemplate.kind == document.kind,
            MailTemplate.active == true(),
            MailTemplate.company_id.is_(None) | (MailTemplate.company_id == document.company_id),
            MailTemplate.partner_id.is_(None) | MailTemplate.partner_id.in_(partners),
            shared_rows(user, owner=MailTemplate.owner_id, company=MailTemplate.company_id)
            | MailTemplate.owner_id.is_(None)
            if user is not None
            else MailTemplate.owner_id.is_(None),
        )
    )

    # The rule of `rule_text`, in its order; the id last, so that equals never change places.
    def rank(template: MailTemplate) -> tuple[bool, int, bool, bool, bool, int, int]:
        return (
            template.owner_id is not None,
            partners.index(template.partner_id) if template.partner_id is not None else len(partners),
            template.id != preferred,
            template.company_id is None,
            not _speaks(template, document.language),
            template.position,
            template.id,
        )

    return [
        Offer(
            template,
            language_of(template, document),
            [str(why) for why in _why(template, document, is_preferred=template.id == preferred)],
        )
        for template in sorted(rows, key=rank)
    ]


def choices_for(company: Company, *, kind: str) -> list[tuple[int, str]]:
    """Return the templates that settings of a company may name for a kind; see `core.signals.mail_templates_asked`."""
    rows = db.session.scalars(
        select(MailTemplate)
        .where(
            MailTemplate.kind == kind,
            MailTemplate.active == true(),
            MailTemplate.company_id.is_(None) | (MailTemplate.company_id == company.id),
            MailTemplate.partner_id.is_(None),
            MailTemplate.owner_id.is_(None),
        )
        .order_by(MailTemplate.position, MailTemplate.id)
    )
    return [(row.id, str(gettext(row.name))) for row in rows]


def text_for(
    template: MailTemplate, document: Subject, *, language: str | None = None
) -> MailTemplateText | None:
    """Return the text for a document: in its language, else in its company's, else in English, else in any.

    Args:
        template: The template.
        document: The document.
        language: The language that is wanted instead of the document's.

    Returns:
        The text, or None when the template has none at all.
    """
    by_language = {text.language: text for text in template.texts}
    for wanted in (language or document.language, document.company.language, ENGLISH, *sorted(by_language)):
        if wanted in by_language:
            return by_language[wanted]
    return None


def language_of(template: MailTemplate, document: Subject) -> str:
    """Return the language in which a template speaks about a document."""
    text = text_for(template, document)
    return text.language if text else document.language


def rule_text() -> list[str]:
    """Return the rule by which the template of a document is chosen, one sentence each."""
    return [
        gettext(
            "A template for the customer goes before one for the company, and that before one for everybody."
        ),
        gettext(
            "One that the settings of a module name, such as those of the till, goes before all but the customer’s."
        ),
        gettext(
            "Among equals, one that has the language of the document goes first; then the lower position."
        ),
        gettext(
            "A template that does not have the language of the document speaks the company’s, else English, else the "
            "first that it has."
        ),
        gettext("An email has one language: its text, dates, amounts and file name are never in two."),
        gettext(
            "One that somebody has saved from an email, for themselves or their company, comes behind all others and "
            "is used only where it is chosen."
        ),
        gettext("Inactive templates are not offered."),
    ]


def language_name(language: str) -> str:
    """Return the name of a language in the current one: `French` for `fr`."""
    names = Locale.parse(str(get_locale() or ENGLISH)).languages
    return str(names.get(language, language))


def _partners(document: Subject) -> list[int]:
    """Return the customer of a document and, of a contact, the customer it belongs to; the nearest first."""
    if document.partner is None:
        return []
    # A template for the contact goes before one for its company.
    return list(dict.fromkeys([document.partner.id, customer_of(document.partner).id]))


def _speaks(template: MailTemplate, language: str) -> bool:
    return any(text.language == language for text in template.texts)


def _why(template: MailTemplate, document: Subject, *, is_preferred: bool) -> Iterable[str]:
    yield from _for_whom(template, document)
    if is_preferred:
        yield gettext("named in the settings")
    yield from _in_which_language(template, document)


def _for_whom(template: MailTemplate, document: Subject) -> Iterable[str]:
    """Return phrases that say whom a template is for."""
    if template.partner is not None:
        if document.partner is not None and template.partner_id == document.partner.id:
            yield gettext("for this customer")
        else:
            yield gettext("for the customer %(name)s", name=template.partner.name)
    if template.company is not None:
        yield gettext("for the company %(name)s", name=template.company.name)
    if template.owner is not None:
        yield gettext("saved by %(name)s", name=template.owner.name)
    elif template.partner is None and template.company is None:
        yield gettext("for everybody")


def _in_which_language(template: MailTemplate, document: Subject) -> Iterable[str]:
    """Return a phrase that says why a template would speak in this language."""
    text = text_for(template, document)
    if text is None:
        yield gettext("without a text")
        return
    name = language_name(text.language)
    if text.language == document.language and not isinstance(document, Document):
        yield gettext("in %(language)s", language=name)
        return
    if text.language == document.language:
        yield gettext("in %(language)s, the language of the document", language=name)
        return
    missing = language_name(document.language)
    company: Company = document.company
    if text.language == company.language:
        yield gettext(
            "in %(language)s, the language of the company, since it has no text in %(missing)s",
            language=name,
            missing=missing,
        )
    else:
        yield gettext("in %(language)s, since it has no text in %(missing)s", language=name, missing=missing)
