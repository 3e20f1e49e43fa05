"""The fields that templates of a kind may use: their names, their values, and what they look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import cast

from flask_babel import force_locale, gettext

from core.documents.behavior import DocumentBehavior, FieldSpec, FieldType, FieldValue, ShippedTemplate
from core.documents.checked import fields_of
from core.documents.service import behavior_of, kind_title
from core.registry import current_registry, resolve
from modules.mail_config.template_language import own_variables
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
from modules.mail_config.template_language.own_variables import Variable
from modules.mail_config.template_language.values import Amount, FormulaError, LazyGroup, shown

SAMPLE_CURRENCY = "EUR"  # of samples, where no document says which
TemplateValue = FieldValue | LazyGroup
"""What a template sees under a name: the value of a field, or the variables of one's own."""
OF_CUSTOMERS = {CUSTOMER: TITLE, DOCUMENTS: DOCUMENTS_TITLE}
"""The kinds of templates that are about no one document, with their titles: they are tried on a customer."""


def _behavior(kind: str) -> DocumentBehavior | None:
    declared = current_registry().kinds.get(kind)
    return cast("DocumentBehavior", resolve(declared.behavior)) if declared else None


def catalogue(kind: str, company_id: int | None = None) -> list[FieldSpec]:
    """Return the fields that templates of a kind may use, and behind them the variables of one's own.

    Args:
        kind: The kind; [] when its module is not enabled.
        company_id: The company of the template, whose variables count as well; None for all of them.
    """
    own = own_variables.that_count(own_variables.stored(kind), company_id)
    return with_variables(kind, own.values())


def with_variables(kind: str, own: Iterable[Variable]) -> list[FieldSpec]:
    """Return the fields of a kind and, behind them, variables as fields, each code once."""
    named = {variable.name: variable.label for variable in own}
    return [
        *plain_catalogue(kind),
        *(FieldSpec(name, label, sample="") for name, label in named.items()),
    ]


def plain_catalogue(kind: str) -> list[FieldSpec]:
    """Return the fields of a kind without variables, of which a variable may be made; [] when it is not enabled."""
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


def values_of(document: Subject) -> dict[str, TemplateValue]:
    """Return what templates see of what an email is about: its fields, and the variables of its company.

    Raises:
        UserError: As for `plain_values_of`.
    """
    values = plain_values_of(document)
    return {
        **values,
        own_variables.GROUP: _own(document.kind, document.company_id, values, document.currency),
    }


def _own(kind: str, company_id: int | None, values: Mapping[str, FieldValue], currency: str) -> LazyGroup:
    @cache
    def variables() -> dict[str, Variable]:
        return own_variables.that_count(own_variables.stored(kind), company_id)

    # Asked for once a text uses one: most use none.
    return LazyGroup(lambda code: own_variables.value_of(variables()[code], values, currency=currency))


def plain_values_of(document: Subject) -> dict[str, FieldValue]:
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
    return {spec.name: _sample(spec) for spec in plain_catalogue(kind)}


def empty_values(kind: str) -> dict[str, FieldValue]:
    """Return the fields of a document that says as little as a document can."""
    empty: dict[FieldType, FieldValue] = {
        FieldType.NUMBER: 0,
        FieldType.MONEY: Amount(0, SAMPLE_CURRENCY),
    }
    return {spec.name: empty.get(spec.type, "") for spec in plain_catalogue(kind)}


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
        values = sample_values(kind) if document is None else plain_values_of(document)
        company_id, currency = (
            (None, SAMPLE_CURRENCY) if document is None else (document.company_id, document.currency)
        )
        own = own_variables.that_count(own_variables.stored(kind), company_id)
        return {
            **{name: shown(value) for name, value in values.items()},
            **{variable.name: _shown(variable, values, currency) for variable in own.values()},
        }


def _shown(variable: Variable, values: Mapping[str, FieldValue], currency: str) -> str:
    """Return what a variable shows; why not, where it cannot be used."""
    try:
        return shown(own_variables.value_of(variable, values, currency=currency))
    except FormulaError as error:
        return str(error)
