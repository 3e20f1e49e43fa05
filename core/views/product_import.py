"""Products from a file, and into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from babel.numbers import format_decimal
from flask import request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from sqlalchemy import select

from core.auth.models import User
from core.auth.permissions import requires
from core.companies.models import Company
from core.db import db
from core.i18n import N_, number_locale
from core.i18n import lazy_gettext as _l
from core.imports.models import ImportRow
from core.pickers import CompanyField
from core.products.export import products_table
from core.products.imports.columns import COLUMNS
from core.products.models import Product, Tax
from core.views.blueprint import blueprint
from core.views.imports import ImportPages, UploadForm, register
from core.views.products import EDIT, PRODUCTS
from core.web.criteria import narrow, read_criteria
from core.web.downloads import TableFile, table_download

_TITLES = {column.name: column.title for column in COLUMNS}
_NAMED = {"tax_id": "tax", "company_id": "company"}


class ProductsForm(UploadForm):
    """A file, and which company sells its new products."""

    company_id = CompanyField(_l("New products are sold by"))


def _form(user: User) -> ProductsForm:
    return ProductsForm(company_id=user.company_id)


def _whose(form: ProductsForm) -> dict[str, Any]:
    return {"company_id": form.company_id.data}


def _links(rows: Sequence[ImportRow]) -> dict[int, tuple[str, str]]:
    numbers = [row.product_id for row in rows if row.product_id is not None]
    found = db.session.execute(select(Product.id, Product.name).where(Product.id.in_(numbers)))
    return {number: (url_for("core.product", product_id=number), name) for number, name in found}


def _words(rows: Sequence[ImportRow]) -> tuple[Callable[[str, Any], str], Callable[[str], str]]:
    values = [values for row in rows for values in (row.before, row.after)]

    def names(model: Any, column: str) -> dict[int, str]:
        numbers = {some[column] for some in values if some.get(column)}
        return dict(db.session.execute(select(model.id, model.name).where(model.id.in_(numbers))).all())

    taxes, companies = names(Tax, "tax_id"), names(Company, "company_id")

    def shown(name: str, value: Any) -> str:
        if name == "tax_id":
            return taxes.get(value, "?") if value else str(gettext("No tax"))
        if name == "company_id":
            return companies.get(value, "?") if value else str(gettext("All companies"))
        if name == "unit_price":
            # As prices are written, with further decimals where there are any.
            return str(format_decimal(Decimal(value), "#,##0.00##", locale=number_locale(get_locale())))
        if isinstance(value, bool):
            return str(gettext("yes") if value else gettext("no"))
        return str(value or "") or "–"

    def column(name: str) -> str:
        title = _TITLES.get(_NAMED.get(name, name))
        return str(gettext(title)) if title is not None else ""

    return shown, column


register(
    ImportPages(
        subject="products",
        one="product",
        path="/products",
        permission=EDIT,
        list_endpoint="core.products",
        list_title=N_("Products"),
        title=N_("Import products"),
        known=N_("A row is a product that is here already when it has the same"),
        row_title=N_("Product"),
        form=_form,
        whose=_whose,
        links=_links,
        words=_words,
        may_make_labels=lambda _user: False,
    )
)


@blueprint.get("/products/export")
@requires(EDIT)
def products_export() -> ResponseReturnValue:
    """Return the products that the list is narrowed to as a file: CSV unless XLSX is wanted."""
    criteria = read_criteria(PRODUCTS, request.args, ("active",))
    form = TableFile.XLSX if request.args.get("form") == TableFile.XLSX else TableFile.CSV
    found = narrow(PRODUCTS, select(Product), criteria, PRODUCTS.sorts[0]).statement
    return table_download(products_table(found.order_by(Product.name, Product.id)), form)
