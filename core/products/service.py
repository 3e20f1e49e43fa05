"""Products, taxes and terms of payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import lazyload

from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.matching import matching
from core.products.models import PaymentTerms, Product, Tax
from core.products.words import OWN, Spoken, Translations, Wording, recognize, translations_of


def save_product(product: Product | None, values: dict[str, Any]) -> Product:
    """Create or change a product; documents that were written before keep what they say.

    Args:
        product: The product to change, or None for a new one.
        values: Column values.

    Raises:
        UserError: Another active product of the company has the code or barcode, or the tax is another company's.
    """
    with transaction() as session:
        # Two people who give one code at once: the second waits here and then finds the first. The unique indexes
        # alone would not do, since a product of all companies shares its codes with those of each.
        session.execute(select(Company.id).order_by(Company.id).with_for_update(key_share=True))
        check_product(product, values)
        product = product or Product()
        with session.no_autoflush:
            for name, value in values.items():
                setattr(product, name, value)
        session.add(product)
        session.flush()
    return product


def line_text(name: str, description: str) -> str:
    """Return what the line of a document says of a product."""
    return f"{name}\n{description}".strip()


@dataclass(frozen=True, slots=True)
class LineWords:
    """What a line says of its product and its tax, in every language that they know.

    Attributes:
        description: Of the product: with its description, or its name alone.
        unit: What the quantity counts.
        tax_name: Of the tax, "" for none.
    """

    description: Wording
    unit: Wording
    tax_name: Wording

    @property
    def translations(self) -> Translations:
        """What the line copies beside its own words."""
        return translations_of(
            {"description": self.description, "unit": self.unit, "tax_name": self.tax_name}
        )


def line_words(
    product: Product | None,
    tax: Tax | None,
    description: str,
    unit: str,
    former: Sequence[Spoken] = (),
) -> LineWords:
    """Return what a line copies of its product and tax, known by the words that stand in it in whatever language.

    What a person has typed themselves is in the language of that person, and stays so.

    Args:
        product: Where the line began, or None.
        tax: Of the line, or None.
        description: What the line says.
        unit: What its quantity counts.
        former: Lines that the document has had: what they said stays known when the product changes.
    """
    products = [product] if product is not None else []
    descriptions = [wording for one in products for wording in (_line_wording(one), one.wording("name"))]
    return LineWords(
        recognize(description, [*descriptions, *(line.wording("description") for line in former)]),
        recognize(unit, [one.wording("unit") for one in (*products, *former)]),
        tax.wording("name") if tax is not None else {OWN: ""},
    )


def line_text_in(product: Product, language: str) -> str:
    """Return what the line of a document in a language says of a product."""
    return line_text(product.said("name", language), product.said("description", language))


def _line_wording(product: Product) -> Wording:
    spoken = {
        language
        for language, words in product.translations.items()
        if words.get("name") or words.get("description")
    }
    return {
        OWN: line_text(product.name, product.description),
        **{language: line_text_in(product, language) for language in sorted(spoken)},
    }


def save_payment_terms(terms: PaymentTerms | None, values: dict[str, Any]) -> PaymentTerms:
    """Create or change terms of payment; documents that were written before keep what they say.

    Args:
        terms: Those to change, or None for new ones.
        values: Column values.
    """
    with transaction() as session:
        terms = terms or PaymentTerms()
        for name, value in values.items():
            setattr(terms, name, value)
        session.add(terms)
        session.flush()
    return terms


def payment_terms_of(company_id: int) -> list[PaymentTerms]:
    """Return the active terms of payment that a company offers, by name."""
    theirs = (PaymentTerms.company_id == company_id) | PaymentTerms.company_id.is_(None)
    query = select(PaymentTerms).where(PaymentTerms.active, theirs)
    return list(db.session.scalars(query.order_by(PaymentTerms.name, PaymentTerms.id)))


def check_product(product: Product | None, values: Mapping[str, Any]) -> None:
    """Look whether a product may get some values; nothing is written.

    Raises:
        UserError: As `save_product`.
    """

    def after(name: str) -> Any:
        return values.get(name, getattr(product, name) if product is not None else None)

    company_id = after("company_id")
    tax = db.session.get(Tax, after("tax_id")) if after("tax_id") else None
    if tax is not None and tax.company_id not in {None, company_id}:
        raise UserError(_l("This tax belongs to another company."), "tax_id")
    if after("active") is False:
        return
    for column, message in (
        (Product.code, _l("Another product has this code.")),
        (Product.barcode, _l("Another product has this barcode.")),
    ):
        text = after(column.key)
        same = select(Product.id).where(column == text, Product.active)
        if company_id is not None:
            same = same.where((Product.company_id == company_id) | Product.company_id.is_(None))
        if product is not None:
            same = same.where(Product.id != product.id)
        if text and db.session.scalar(same.limit(1)) is not None:
            raise UserError(message, column.key)


def save_tax(tax: Tax | None, values: dict[str, Any]) -> Tax:
    """Create or change a tax; documents that were written before keep its former name and rate.

    Args:
        tax: The tax to change, or None for a new one.
        values: Column values.
    """
    with transaction() as session:
        tax = tax or Tax()
        for name, value in values.items():
            setattr(tax, name, value)
        session.add(tax)
        session.flush()
    return tax


def taxes_of(company_id: int) -> list[Tax]:
    """Return the active taxes that a company uses, by name."""
    return list(
        db.session.scalars(
            select(Tax).where(Tax.active, of_company(Tax, company_id)).order_by(Tax.rate.desc(), Tax.name)
        )
    )


def usual_tax(company_id: int) -> Tax | None:
    """Return the tax that a company's sales usually have: that of most of its products, else the highest.

    The highest rate of a country is its standard rate, the others are exceptions to it.
    """
    count = func.count(Product.id)
    return db.session.scalar(
        select(Tax)
        .outerjoin(Product, (Product.tax_id == Tax.id) & Product.active & of_company(Product, company_id))
        .where(Tax.active, of_company(Tax, company_id))
        .group_by(Tax.id)
        .order_by(count.desc(), Tax.rate.desc(), Tax.id)
        .options(lazyload(Tax.company))
        .limit(1)
    )


def find_products(
    company_id: int, text: str, limit: int = 30, *, over_the_counter: bool = False
) -> list[Product]:
    """Return active products of a company in whose name or code every word occurs, or whose barcode it is, by name.

    Args:
        company_id: The company that sells them.
        text: What is looked for; "" for everything.
        limit: How many are returned at most.
        over_the_counter: True for those only that are sold at a till.
    """
    query = (
        select(Product)
        .where(Product.active, of_company(Product, company_id))
        .order_by(Product.name, Product.id)
        .limit(limit)
    )
    if over_the_counter:
        query = query.where(Product.over_the_counter)
    if text:
        query = query.where(or_(and_(*matching(text, Product.name, Product.code)), Product.barcode == text))
    return list(db.session.scalars(query))


def of_company(model: type[Product | Tax], company_id: int) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the products, or taxes, of a company and those of all companies."""
    return or_(model.company_id.is_(None), model.company_id == company_id)


def product_label(product: Product) -> str:
    """Return what a product is called in a list to choose from."""
    return f"[{product.code}] {product.name}" if product.code else product.name
