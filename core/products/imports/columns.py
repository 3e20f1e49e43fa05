"""The columns of a file of products: how they are headed, what their cells mean, and how they are written."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from sqlalchemy import String

from core.db.types import DECIMAL_PLACES
from core.errors import UserError
from core.i18n import N_, gettext
from core.imports.subject import FileColumn, one_line, yes_or_no
from core.numbers import read_decimal
from core.products.models import Product

_CURRENCY = re.compile(r"^(?:[A-Z]{3}\b|[^\w\s.,+-]+)\s*|\s*(?:\b[A-Z]{3}|[^\w\s.,+-]+)$")
LONGEST_DESCRIPTION = 2000


def _price(text: str) -> Decimal:
    """Return a price without tax; a sign or a code of a currency beside it says nothing."""
    try:
        return read_decimal(_CURRENCY.sub("", text.strip()), DECIMAL_PLACES)
    except ValueError as error:
        raise UserError(str(error), "unit_price") from error


def _over_the_counter(text: str) -> bool:
    return yes_or_no(text, "over_the_counter")


def _active(text: str) -> bool:
    return yes_or_no(text, "active")


def _word(value: bool) -> str:
    return str(gettext("yes") if value else gettext("no"))


_COLUMNS: tuple[FileColumn, ...] = (
    FileColumn(
        "code", N_("Code"),
        ("reference", "ref", "ref.", "sku", "article", "code article", "product code", "item code", "no", "numero"),
        lambda p: p.code, one_line,
    ),
    FileColumn(
        "barcode", N_("Barcode"), ("ean", "ean13", "gtin", "upc", "code-barres", "code barre", "code barres"),
        lambda p: p.barcode, one_line,
    ),
    FileColumn(
        "name", N_("Name"),
        ("product", "product name", "designation", "libelle", "nom", "produit", "titre", "intitule"),
        lambda p: p.name, one_line,
    ),
    FileColumn(
        "category", N_("Category"), ("categorie", "family", "famille", "group", "groupe", "rayon"),
        lambda p: p.category, one_line,
    ),
    FileColumn("description", N_("Description"), ("details", "texte", "commentaire"), lambda p: p.description),
    FileColumn(
        "unit_price", N_("Unit price"),
        ("price", "net price", "prix", "prix ht", "prix unitaire", "prix unitaire ht", "pu", "pu ht", "prix de vente",
         "tarif", "tarif ht"),
        lambda p: p.unit_price, _price,
    ),
    FileColumn("unit", N_("Unit"), ("unite", "uom"), lambda p: p.unit, one_line),
    FileColumn(
        "tax", N_("Tax"), ("vat", "vat rate", "tva", "taux", "taux tva", "taux de tva", "tax rate"),
        lambda p: p.tax.name if p.tax is not None else gettext("No tax"), one_line,
    ),
    FileColumn(
        "company", N_("Company"), ("societe", "entreprise"),
        lambda p: p.company.name if p.company is not None else gettext("All companies"), one_line,
    ),
    FileColumn(
        "over_the_counter", N_("Sold at the till"), ("till", "caisse", "vendu en caisse"),
        lambda p: _word(p.over_the_counter), _over_the_counter,
    ),
    FileColumn("active", N_("Active"), ("actif",), lambda p: _word(p.active), _active),
)  # fmt: skip
_LENGTHS = {
    column.name: column.type.length
    for column in Product.__table__.columns
    if isinstance(column.type, String) and column.type.length
} | {"description": LONGEST_DESCRIPTION}
COLUMNS = tuple(replace(column, longest=_LENGTHS.get(column.name)) for column in _COLUMNS)
"""All columns, in the order of an export."""
