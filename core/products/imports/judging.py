"""What becomes of a row of a file: which product it is, what would change, or why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from core.companies.models import Company
from core.db import db
from core.errors import UserError
from core.i18n import gettext
from core.i18n import lazy_gettext as _l
from core.imports.models import Import, ImportRow, ImportState, Verdict
from core.imports.subject import Judgement, read_cells, refuse_twice
from core.matching import folded
from core.numbers import read_decimal
from core.products.imports.columns import COLUMNS
from core.products.models import Product, Tax
from core.products.service import check_product, usual_tax

WAYS = ("code", "barcode", "name")
_RATE = re.compile(r"^\D*?([\d.,]+)\s*%?\s*$")


def judge(row: ImportRow, of: Import) -> Judgement:
    """Return what becomes of a row."""
    found = Judgement()
    try:
        _judge(found, row, of)
    except UserError as error:
        found.verdict, found.field, found.problem = Verdict.REFUSED, error.field or "", error.message
    return found


def _judge(found: Judgement, row: ImportRow, of: Import) -> None:
    values = read_cells(COLUMNS, row.cells, of.mapping)
    found.name, found.number = str(values.get("name", "")).casefold()[:160], str(values.get("code", ""))[:40]
    company_id = _company(values, of)
    key = values.get(of.match_by) or values.get("name", "")
    found.key = f"{company_id or ''}/{key}"
    if of.state is ImportState.CHECKING:
        refuse_twice(found.key, row, of)
    found.entity = product = _match(values, company_id, of)
    if product is None:
        if not values.get("name"):
            raise UserError(_l("A new product needs a name."), "name")
        values["company_id"] = company_id
    elif "company" in of.mapping and product.company_id != company_id:
        values["company_id"] = company_id
    owner = product.company_id if product is not None and "company_id" not in values else company_id
    _put_tax(values, product, owner)
    there = stored(product, list(values)) if product is not None else {}
    for name, value in values.items():
        after = _plain(value)
        if product is None or there[name] != after:
            found.after[name] = after
            if product is not None:
                found.before[name] = there[name]
    found.values = {name: values[name] for name in found.after}
    check_product(product, found.values)
    if product is not None:
        found.verdict = Verdict.CHANGES if found.after else Verdict.SAME


def _company(values: dict[str, Any], of: Import) -> int | None:
    """Return whose the product is: of the company that the row names, else of that of the import; None for all."""
    named = values.pop("company", "")
    if not named:
        return of.company_id
    if folded(named) in {folded(gettext("All companies")), "all companies", "toutes les societes"}:
        return None
    for number, name in db.session.execute(select(Company.id, Company.name).where(Company.active)):
        if folded(name) == folded(named):
            return int(number)
    raise UserError(_l("There is no company of this name."), "company")


def _match(values: dict[str, Any], company_id: int | None, of: Import) -> Product | None:
    """Return the product that a row is, active ones before archived ones.

    Raises:
        UserError: It could be several.
    """
    way = of.match_by if values.get(of.match_by) else "name"
    text = values.get(way)
    if not text:
        return None
    theirs = (Product.company_id == company_id) | Product.company_id.is_(None)
    query = select(Product).where(getattr(Product, way) == text, theirs)
    several = list(db.session.scalars(query.order_by(Product.active.desc(), Product.id).limit(3)))
    active = [one for one in several if one.active] or several
    if len(active) > 1:
        raise UserError(_l("Several products fit. Match by something else."), way)
    return active[0] if active else None


def _put_tax(values: dict[str, Any], product: Product | None, company_id: int | None) -> None:
    """Put the id of a tax in the place of its name or rate; what is new and says nothing has the usual one."""
    said = values.pop("tax", "")
    if said:
        values["tax_id"] = _tax(said, company_id)
    elif product is None and company_id is not None:
        usual = usual_tax(company_id)
        values["tax_id"] = usual.id if usual is not None else None


def _tax(said: str, company_id: int | None) -> int | None:
    word = folded(said)
    if word in {folded(gettext("No tax")), "no tax", "none", "sans tva", "sans taxe", "-", "aucune"}:
        return None
    theirs = Tax.company_id.is_(None) | (Tax.company_id == company_id)
    taxes = list(db.session.scalars(select(Tax).where(Tax.active, theirs).order_by(Tax.id)))
    for tax in taxes:
        names = [tax.name, *(words.get("name", "") for words in tax.translations.values())]
        if word in {folded(name) for name in names if name}:
            return tax.id
    rate = _rate(said)
    fitting = [tax.id for tax in taxes if rate is not None and tax.rate == rate]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(tax.name for tax in taxes)
    raise UserError(_l("There is no such tax; there are: %(names)s.", names=known or "–"), "tax")


def _rate(said: str) -> Decimal | None:
    """Return a rate in percent; a workbook that shows 20 % holds 0.2, which no tax is."""
    found = _RATE.match(said)
    if found is None:
        return None
    try:
        rate = read_decimal(found[1])
    except ValueError:
        return None
    return rate * 100 if 0 < rate < 1 else rate


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def stored(product: Product, names: Sequence[str]) -> dict[str, Any]:
    """Return what columns of a product say, as JSON has it."""
    return {name: _plain(getattr(product, name)) for name in names}
