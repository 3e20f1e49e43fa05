"""The lines of a document, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.products.models import Product, Tax
from core.products.service import line_words, of_company
from core.products.words import OWN
from core.totals import AmountTooLargeError, TaxedAmount, Totals, compute, line_subtotal
from modules.sales.models import Invoice, Line
from modules.sales.states import CREDIT_NOTE

# A PDF of more would keep the engine, of which a process has one, busy for a minute.
MAX_LINES = 500
MAX_DESCRIPTIONS = 50_000  # characters of all lines together: the time the PDF takes grows with them


@dataclass(frozen=True, slots=True)
class LineValues:
    """A line as a person wants it.

    Attributes:
        description: What is sold, on one or several lines of text.
        quantity: May be negative.
        unit_price: Without tax.
        discount: In percent.
        unit: Of the quantity, or "".
        product_id: The product it was made from, or None.
        tax_id: The tax, or None.
    """

    description: str
    quantity: Decimal
    unit_price: Decimal
    discount: Decimal = Decimal(0)
    unit: str = ""
    product_id: int | None = None
    tax_id: int | None = None


def values_of(line: Line) -> LineValues:
    """Return what a line says, for a copy of it in another document."""
    return LineValues(
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        discount=line.discount,
        unit=line.unit,
        product_id=line.product_id,
        tax_id=line.tax_id,
    )


def lines_of(document_id: int) -> list[Line]:
    """Return the lines of a document in their order."""
    return list(
        db.session.scalars(
            select(Line).where(Line.document_id == document_id).order_by(Line.position, Line.id)
        )
    )


def totals_of(document: Document, lines: Sequence[Line], language: str = "") -> Totals:
    """Return what the lines of a document come to, from the rates that were copied into them.

    Args:
        document: The document.
        lines: Its lines.
        language: In which the taxes are named; "" for the document's.
    """
    language = language or document.language
    note = db.session.get(Invoice, document.id) if document.kind == CREDIT_NOTE else None
    decided = note.part_taxes if note is not None else None
    return compute((_taxed(line, language) for line in lines), document.currency, decided)


def too_long(descriptions: Sequence[str]) -> object | None:
    """Return a sentence when lines with these descriptions are more than a document holds."""
    sentence: object | None = None
    characters = sum(map(len, descriptions))
    if len(descriptions) > MAX_LINES:
        sentence = _l("A document has at most %(count)d lines.", count=MAX_LINES)
    elif characters > MAX_DESCRIPTIONS:
        sentence = _l(
            "The descriptions of a document have at most %(count)d characters; these have %(present)d.",
            count=MAX_DESCRIPTIONS,
            present=characters,
        )
    return sentence


def replace_lines(document: Document, values: Sequence[LineValues]) -> Totals:
    """Give a document other lines, and the header its new total, inside the running transaction.

    Names and rates of the taxes are copied as they are now.

    Raises:
        UserError: There are too many lines, their descriptions or an amount are too large, or a product or
            tax does not exist.
    """
    refusal = too_long([value.description.strip() for value in values])
    if refusal is not None:
        raise UserError(refusal)
    with transaction() as session:
        taxes = _taxes(document, values)
        products = _products(document, values)
        # All anew: the form posts them all, and nothing refers to the line of a draft.
        former = lines_of(document.id)
        for line in former:
            session.delete(line)
        session.flush()  # the session would write the new ones first, at places that are taken
        lines = [
            _line(
                document,
                position,
                value,
                products.get(value.product_id) if value.product_id else None,
                taxes.get(value.tax_id) if value.tax_id else None,
                [line for line in former if value.product_id and line.product_id == value.product_id],
            )
            for position, value in enumerate(values, 1)
        ]
        return _write(document, lines)


def copy_lines(source: Sequence[Line], document: Document) -> Totals:
    """Copy lines into another document of the same currency as they are, with the rates they carry.

    What a customer has ordered is invoiced at the rate of the order, and a credit note takes back the tax
    that was invoiced, whatever has become of the tax in the meantime.
    """
    # Every column there is, so that one that comes later is not forgotten here.
    columns = [c.key for c in Line.__table__.columns if c.key not in {"id", "document_id"}]
    copies = [
        Line(document_id=document.id, **{name: getattr(line, name) for name in columns}) for line in source
    ]
    return _write(document, copies)


def _write(document: Document, lines: list[Line]) -> Totals:
    with transaction() as session:
        try:
            totals = totals_of(document, lines)
        except AmountTooLargeError as error:
            raise UserError(_l("The total is too large.")) from error
        session.add_all(lines)
        document.total = totals.total
        session.flush()
    return totals


def _taxed(line: Line, language: str) -> TaxedAmount:
    return TaxedAmount(line.subtotal, line.tax_rate, line.said("tax_name", language))


def _taxes(document: Document, values: Sequence[LineValues]) -> dict[int, Tax]:
    wanted = {value.tax_id for value in values if value.tax_id is not None}
    found = {
        tax.id: tax
        for tax in db.session.scalars(
            select(Tax).where(Tax.id.in_(wanted), of_company(Tax, document.company_id))
        )
    }
    if wanted - found.keys():
        raise UserError(_l("A tax of these lines does not exist any more. Choose another."))
    return found


def _products(document: Document, values: Sequence[LineValues]) -> dict[int, Product]:
    wanted = {value.product_id for value in values if value.product_id is not None}
    theirs = of_company(Product, document.company_id)
    found = {
        product.id: product
        for product in db.session.scalars(select(Product).where(Product.id.in_(wanted), theirs))
    }
    if wanted - found.keys():
        raise UserError(_l("A product of these lines does not exist any more. Choose another."))
    return found


def _line(
    document: Document,
    position: int,
    value: LineValues,
    product: Product | None,
    tax: Tax | None,
    former: Sequence[Line],
) -> Line:
    words = line_words(product, tax, value.description.strip(), value.unit.strip(), former)
    try:
        subtotal = line_subtotal(value.quantity, value.unit_price, value.discount, document.currency)
    except AmountTooLargeError as error:
        raise UserError(_l("Line %(number)d: the amount is too large.", number=position)) from error
    return Line(
        document_id=document.id,
        position=position,
        product_id=value.product_id,
        description=words.description[OWN],
        quantity=value.quantity,
        unit=words.unit[OWN],
        unit_price=value.unit_price,
        discount=value.discount,
        tax_id=tax.id if tax else None,
        tax_name=tax.name if tax else "",
        tax_rate=tax.rate if tax else None,
        subtotal=subtotal,
        translations=words.translations,
    )
