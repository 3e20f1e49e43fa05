"""The fields that templates of a kind may use: their names, their values, and what they look like."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from flask_babel import force_locale, gettext

from core.documents.behavior import DocumentBehavior, FieldSpec, FieldType, FieldValue, ShippedTemplate
from core.documents.checked import fields_of
from core.documents.service import behavior_of, kind_title
from core.registry import current_registry, resolve
from modules.mail_config.template_language.customer_mail import (
    CATALOGUE,
    CUSTOMER,
    TITLE,
    CustomerMail,
    Subject,
    customer_mail_values,
)
from modules.mail_config.template_language.documents_mail import (
    DOCUMENTS,
    TEMPLATES,
    DocumentsMail,
    documents_catalogue,
    documents_mail_values,
)
from modules.mail_config.template_language.documents_mail import TITLE as DOCUMENTS_TITLE
from modules.mail_config.template_language.values import Amount, shown

SAMPLE_CURRENCY = "EUR"  # of samples, where no document says which
OF_CUSTOMERS = {CUSTOMER: TITLE, DOCUMENTS: DOCUMENTS_TITLE}
"""The kinds of templates that are about no one document, with their titles: they are tried on a customer."""


def _behavior(kind: str) -> DocumentBehavior | None:
    declared = current_registry().kinds.get(kind)
    return cast("DocumentBehavior", resolve(declared.behavior)) if declared else None


def catalogue(kind: str) -> list[FieldSpec]:
    """Return the fields that templates of a kind may use; [] when its module is not enabled."""
    if kind == CUSTOMER:
        return list(CATALOGUE)
    if kind == DOCUMENTS:
        return documents_catalogue()
    behavior = _behavior(kind)
    return list(behavior.catalogue) if behavior else []


def template_kinds() -> dict[str, str]:
    """Return the kinds that templates can be of, with their titles: documents that are enabled, and customers."""
    return {name: title_of_kind(name) for name in (*current_registry().kinds, *OF_CUSTOMERS)}


def title_of_kind(kind: str) -> str:
    """Return the title of a kind of templates, or its name when its module is not enabled."""
    return str(gettext(OF_CUSTOMERS[kind])) if kind in OF_CUSTOMERS else kind_title(kind)


def shipped_templates(kind: str) -> list[ShippedTemplate]:
    """Return the templates that come with a kind; [] when its module is not enabled."""
    if kind == DOCUMENTS:
        return list(TEMPLATES)
    behavior = _behavior(kind)
    return list(behavior.templates) if behavior else []


def values_of(document: Subject) -> dict[str, FieldValue]:
    """Return the fields of what an email is about, in the current locale; amounts know their currency.

    Raises:
        UserError: Its module is not enabled, or its behavior does not keep its promise.
    """
    if isinstance(document, DocumentsMail):
        return documents_mail_values(document)
    if isinstance(document, CustomerMail):
        return customer_mail_values(document)
    behavior = behavior_of(document)
    money = {spec.name for spec in behavior.catalogue if spec.type is FieldType.MONEY}
    return {
        name: Amount(value, document.currency)
        if name in money and isinstance(value, Decimal | int)
        else value
        for name, value in fields_of(document).items()
    }


def sample_values(kind: str) -> dict[str, FieldValue]:
    """Return a value for each field of a kind, in the current locale, as if there were a document."""
    return {spec.name: _sample(spec) for spec in catalogue(kind)}


def empty_values(kind: str) -> dict[str, FieldValue]:
    """Return the fields of a document that says as little as a document can."""
    empty: dict[FieldType, FieldValue] = {
        FieldType.NUMBER: 0,
        FieldType.MONEY: Amount(0, SAMPLE_CURRENCY),
    }
    return {spec.name: empty.get(spec.type, "") for spec in catalogue(kind)}


def _sample(spec: FieldSpec) -> FieldValue:
    value = spec.sample_value()
    if isinstance(value, Decimal) and spec.type is FieldType.MONEY:
        return Amount(value, SAMPLE_CURRENCY)
    return str(gettext(value)) if isinstance(value, str) else value


def samples(kind: str, document: Subject | None, language: str) -> dict[str, str]:
    """Return each field of a kind as a mail in a language would show it.

    Args:
        kind: The kind of document.
        document: The document whose values are shown, or None for made-up ones.
        language: Language of the mail.

    Raises:
        UserError: The module of the document is not enabled.
    """
    with force_locale(language):
        values = sample_values(kind) if document is None else values_of(document)
        return {name: shown(value) for name, value in values.items()}
