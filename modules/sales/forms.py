"""The forms of sales: the head of a document and its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from babel.numbers import format_decimal, get_currency_precision
from flask_babel import get_locale, gettext
from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from wtforms import (
    DateField,
    Field,
    HiddenField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.utils import unset_value
from wtforms.validators import Optional, ValidationError

from core.db import db
from core.db.types import DECIMAL_PLACES
from core.documents.models import Document
from core.followers.service import FormerFollowers, FormerFollows
from core.i18n import lazy_gettext as _l
from core.i18n import number_locale
from core.numbers import read_decimal
from core.pickers import PartnerField
from core.products.models import Tax
from core.products.service import of_company
from core.products.tax_rules import rules_of
from core.web.forms import at_most, required
from core.web.record_form import RecordForm
from modules.sales.models import Line
from modules.sales.service.lines import LineValues

LANGUAGE_CHOICES = [
    SelectChoice("", _l("The customer's")),
    SelectChoice("en", "English"),
    SelectChoice("fr", "Français"),
]
MAX_DESCRIPTION = 2000  # characters of one line
MAX_UNIT = 20  # characters, as the column has


def shown_number(value: Decimal | None) -> str:
    """Return a number as it stands in an input of the current locale."""
    return "" if value is None else format_decimal(value, format="0.####", locale=number_locale(get_locale()))


def shown_price(value: Decimal, currency: str) -> str:
    """Return a price as it stands in an input: with the decimals of the currency, and more where it has more."""
    places = get_currency_precision(currency)
    pattern = f"0.{'0' * places}{'#' * (DECIMAL_PLACES - places)}"
    return format_decimal(value, format=pattern, locale=number_locale(get_locale()))


def _number(text: str, *, default: Decimal | None = None, places: int = 4) -> Decimal:
    text = text.strip()
    if not text:
        if default is None:
            raise ValueError(gettext("This field is required."))
        return default
    return read_decimal(text, places)


def _discount(text: str) -> Decimal:
    value = _number(text, default=Decimal(0), places=2)
    if not 0 <= value <= 100:
        raise ValueError(gettext("From 0 to 100."))
    return value


def _limited(length: int, *, needed: bool = False) -> Callable[[str], str]:
    def read(text: str) -> str:
        text = text.strip().replace("\r\n", "\n")  # as browsers post it; nothing else says it so
        if needed and not text:
            raise ValueError(gettext("This field is required."))
        if len(text) > length:
            raise ValueError(gettext("At most %(max)d characters.", max=length))
        return text

    return read


def _identifier(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ValueError(gettext("Choose from the list."))
    return int(text) if text else None


# Name of the field, and how it is read; the form carries each as `line.<name>`, once for every line.
_READERS: dict[str, Callable[[str], Any]] = {
    "product_id": _identifier,
    "description": _limited(MAX_DESCRIPTION, needed=True),
    "quantity": _number,
    "unit": _limited(MAX_UNIT),
    "unit_price": _number,
    "discount": _discount,
    "tax_id": _identifier,
}


@dataclass(slots=True)
class TypedLine:
    """A line as it was typed, so that nothing is lost when something in it is wrong.

    Attributes:
        typed: What stands in each field.
        product_label: What the chosen product is called.
        errors: A sentence for each field that is wrong.
        values: The line, or None while there are errors.
        subtotal: As it is shown, or "".
    """

    typed: dict[str, str]
    product_label: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    values: LineValues | None = None
    subtotal: str = ""

    @property
    def blank(self) -> bool:
        """True when nobody has filled anything in: such a line is not kept."""
        return not any(self.typed[name].strip() for name in ("product_id", "description", "unit_price"))

    @property
    def rows(self) -> int:
        """How many rows of text the description is shown on."""
        return min(6, max(1, self.typed["description"].count("\n") + 1))

    def read(self) -> None:
        """Read what was typed."""
        values: dict[str, Any] = {}
        for name, reader in _READERS.items():
            try:
                values[name] = reader(self.typed[name])
            except ValueError as error:
                self.errors[name] = str(error)
        if not self.errors:
            self.values = LineValues(**values)


def blank_line(tax_id: int | None) -> TypedLine:
    """Return the line that a new row shows.

    Args:
        tax_id: The usual tax of the company: a line that was typed without a product would be free of tax else.
    """
    filled = {"quantity": "1", "tax_id": str(tax_id or "")}
    return TypedLine({name: filled.get(name, "") for name in _READERS})


def typed_lines(form: MultiDict[str, str], *, keep_blank: bool = False) -> list[TypedLine]:
    """Return the lines in a posted form, read, in the order of the page.

    Args:
        form: What was posted.
        keep_blank: True to return the blank ones as well, unread, so that places on the page are kept.
    """
    columns = {name: form.getlist(f"line.{name}") for name in _READERS}
    count = max(len(values) for values in columns.values())
    lines = [
        TypedLine({name: values[i] if i < len(values) else "" for name, values in columns.items()})
        for i in range(count)
    ]
    for line in lines:
        if not line.blank:
            line.read()
    return [line for line in lines if keep_blank or not line.blank]


def lines_to_edit(lines: Iterable[Line], document: Document) -> list[TypedLine]:
    """Return the lines of a document as they stand in the form, in the language of the document."""
    return [
        TypedLine(
            {
                "product_id": str(line.product_id or ""),
                "description": line.said("description", document.language),
                "quantity": shown_number(line.quantity),
                "unit": line.said("unit", document.language),
                "unit_price": shown_price(line.unit_price, document.currency),
                "discount": shown_number(line.discount) if line.discount else "",
                "tax_id": str(line.tax_id or ""),
            }
        )
        for line in lines
    ]


FORMER_CHOICES = [
    SelectChoice(FormerFollows.STOPS.value, _l("stops following")),
    SelectChoice(FormerFollows.BY_MAIL.value, _l("goes on following by email")),
    SelectChoice(FormerFollows.IN_APPLICATION.value, _l("goes on following in the application only")),
]
FORMER_CONTACTS_CHOICES = [
    SelectChoice(FormerFollows.STOPS.value, _l("stop following")),
    SelectChoice(FormerFollows.BY_MAIL.value, _l("go on following by email")),
    SelectChoice(FormerFollows.IN_APPLICATION.value, _l("go on following in the application only")),
]


class LinesField(Field):  # type: ignore[misc]
    """The lines of a document, read from `line.<name>`; the page shows them by a part of its own."""

    data: list[TypedLine]
    company_id = 0  # whose taxes are named; `DocumentForm.of_company` says it

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:  # noqa: ARG002 (signature of WTForms)
        """Take the lines that were posted, else those of the document."""
        self.process_errors: list[str] = []
        self.data = typed_lines(formdata) if formdata is not None else [] if data is unset_value else data
        for line in self.data:
            if line.values is None and not line.errors:
                line.read()

    def said(self) -> list[Any]:
        """Return what the lines say, however it was typed."""
        return [asdict(line.values) if line.values is not None else line.typed for line in self.data]

    def _value(self) -> str:
        """Return the lines as people read them, one below the other."""
        return "\n".join(_in_words(line.typed, self.company_id) for line in self.data)


def _in_words(typed: Mapping[str, str], company_id: int) -> str:
    tax_id = typed["tax_id"]
    tax = (
        db.session.scalar(select(Tax).where(Tax.id == int(tax_id), of_company(Tax, company_id)))
        if tax_id.isascii() and tax_id.isdigit() and len(tax_id) < 12
        else None
    )
    amount = f"{typed['quantity']} {typed['unit']}".strip()
    words = [f"{amount} × {' · '.join(typed['description'].splitlines())} – {typed['unit_price']}"]
    if typed["discount"].strip():
        words.append(f"−{typed['discount']} %")
    if tax is not None:
        words.append(tax.name)
    return ", ".join(words)


class DocumentForm(RecordForm):
    """The head of every sales document, and its lines."""

    partner_id = PartnerField(_l("Customer"), required())
    former_customer = RadioField(choices=FORMER_CHOICES, default=FormerFollows.STOPS, coerce=FormerFollows)
    former_contacts = RadioField(
        choices=FORMER_CONTACTS_CHOICES, default=FormerFollows.STOPS, coerce=FormerFollows
    )
    date = DateField(_l("Date"), required())
    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES)
    payment_terms = StringField(
        _l("Payment terms"), [at_most(200)], render_kw={"list": "payment-terms", "autocomplete": "off"}
    )
    tax_rule_id = SelectField(
        _l("Tax rule"),
        default="",
        description=_l("Follows the customer; another one changes the taxes of the lines."),
    )
    note = TextAreaField(_l("Note"), [at_most(4000)], render_kw={"rows": 3})
    lines = LinesField(_l("Lines"))
    company_id = HiddenField()
    revision = HiddenField()

    former_id: int | None = None
    former = FormerFollowers()

    def of_company(self, company_id: int) -> None:
        """Say which company the document is of: its customers, products and taxes are those to choose from."""
        self.partner_id.company_id = self.lines.company_id = company_id
        rules = rules_of(company_id, self.rule_id)
        self.tax_rule_id.choices = [
            SelectChoice("", _l("None – the usual taxes")),
            *(SelectChoice(str(rule.id), rule.name) for rule in rules),
        ]

    def ask_about(self, former_id: int | None, former: FormerFollowers) -> None:
        """Ask what becomes of those who follow for the present customer once another is chosen."""
        self.former_id, self.former = former_id, former

    @property
    def rule_id(self) -> int | None:
        """The id of the tax rule that is chosen, or None."""
        text = str(self.tax_rule_id.data or "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None

    @property
    def customer_changes(self) -> bool:
        """True when another customer is chosen than the document has."""
        return self.former_id is not None and self.partner_id.data not in (None, self.former_id)

    def validate_former_customer(self, field: RadioField) -> None:
        """Ask again when nothing was said about the former customer."""
        if self.customer_changes and self.former.customer is not None and not field.raw_data:
            raise ValidationError(gettext("Say what becomes of the former customer."))

    def validate_former_contacts(self, field: RadioField) -> None:
        """Ask again when nothing was said about the contacts of the former customer."""
        if self.customer_changes and self.former.contacts and not field.raw_data:
            raise ValidationError(gettext("Say what becomes of the contacts of the former customer."))

    @property
    def seen_revision(self) -> int | None:
        """The revision that the person has had before them."""
        text = str(self.revision.data or "")
        return int(text) if text.isascii() and text.isdigit() else None


class QuotationForm(DocumentForm):
    """A quotation."""

    validity_date = DateField(_l("Valid until"), [Optional()])
    delivery_date = DateField(_l("Delivery date"), [Optional()])

    order = (
        "partner_id", "date", "validity_date", "delivery_date", "language", "payment_terms", "tax_rule_id",
    )  # fmt: skip


class InvoiceForm(DocumentForm):
    """A draft invoice or credit note."""

    date = DateField(_l("Date"), [Optional()], description=_l("Empty: the day on which it is issued"))
    due_date = DateField(_l("Due date"), [Optional()], description=_l("Empty: 30 days after the date"))

    order = ("partner_id", "date", "due_date", "language", "payment_terms", "tax_rule_id")
