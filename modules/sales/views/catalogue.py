"""Products and taxes."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import false, select

from core.auth.permissions import requires
from core.companies.models import Company
from core.db import db
from core.i18n import N_, gettext
from core.web.forms import submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from modules.sales.forms import ProductForm, TaxForm
from modules.sales.models import Product, Tax
from modules.sales.service.catalogue import save_product, save_tax
from modules.sales.views.blueprint import blueprint

EDIT = "sales.product.edit"

PRODUCTS = ListSpec(
    identity=Product.id,
    sorts=(
        SortKey("name", N_("Name"), Product.name, lambda row: row.name),
        SortKey("code", N_("Code"), Product.code, lambda row: row.code),
        SortKey("price", N_("Unit price"), Product.unit_price, lambda row: row.unit_price),
    ),
    filters=(
        Filter("active", N_("Active"), Product.active.is_(True), "active"),
        Filter("archived", N_("Archived"), Product.active == false(), "active"),
    ),
    search=lambda text: (
        Product.name.icontains(text, autoescape=True) | Product.code.icontains(text, autoescape=True)
    ),
)
TAXES = ListSpec(
    identity=Tax.id,
    sorts=(
        SortKey("name", N_("Name"), Tax.name, lambda row: row.name),
        SortKey("rate", N_("Rate"), Tax.rate, lambda row: row.rate, descending=True),
    ),
    filters=(
        Filter("active", N_("Active"), Tax.active.is_(True), "active"),
        Filter("archived", N_("Archived"), Tax.active == false(), "active"),
    ),
    search=lambda text: Tax.name.icontains(text, autoescape=True),
)


def _companies() -> list[tuple[int, str]]:
    rows = db.session.execute(select(Company.id, Company.name).where(Company.active).order_by(Company.name))
    return [(number, name) for number, name in rows]


def _values(form: FlaskForm) -> dict[str, Any]:
    values = {name: value for name, value in form.data.items() if name != "csrf_token"}
    for name in ("tax_id", "company_id"):
        if name in values:
            values[name] = int(values[name]) if values[name] else None
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


@blueprint.get("/products")
@requires(EDIT)
def products() -> ResponseReturnValue:
    """List products."""
    page = paginate(select(Product), PRODUCTS, default_filters=("active",))
    return render_template("sales/products.html", page=page)


def _product_form(row: Product | None) -> ProductForm:
    form = ProductForm(obj=row)
    form.offer(db.session.scalars(select(Tax).where(Tax.active).order_by(Tax.name)), _companies())
    if not form.is_submitted():
        form.tax_id.data = str(row.tax_id or "") if row else ""
        form.company_id.data = str(row.company_id or "") if row else ""
    return form


@blueprint.route("/products/new", methods=["GET", "POST"])
@requires(EDIT)
def product_new() -> ResponseReturnValue:
    """Make a product."""
    form = _product_form(None)
    if submit(form, lambda: save_product(None, _values(form))):
        return redirect(url_for("sales.products"))
    crumbs = [(gettext("Products"), url_for("sales.products"))]
    return render_template("core/form.html", form=form, title=gettext("New product"), crumbs=crumbs)


@blueprint.route("/products/<int:product_id>", methods=["GET", "POST"])
@requires(EDIT)
def product(product_id: int) -> ResponseReturnValue:
    """Change a product."""
    row = db.session.get(Product, product_id) or abort(404)
    form = _product_form(row)
    if submit(form, lambda: save_product(row, _values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("sales.products"))
    crumbs = [(gettext("Products"), url_for("sales.products"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)


@blueprint.get("/taxes")
@requires(EDIT)
def taxes() -> ResponseReturnValue:
    """List taxes."""
    page = paginate(select(Tax), TAXES, default_filters=("active",))
    return render_template("sales/taxes.html", page=page)


def _tax_form(row: Tax | None) -> TaxForm:
    form = TaxForm(obj=row)
    form.offer(_companies())
    if not form.is_submitted():
        form.company_id.data = str(row.company_id or "") if row else ""
    return form


@blueprint.route("/taxes/new", methods=["GET", "POST"])
@requires(EDIT)
def tax_new() -> ResponseReturnValue:
    """Make a tax."""
    form = _tax_form(None)
    if submit(form, lambda: save_tax(None, _values(form))):
        return redirect(url_for("sales.taxes"))
    crumbs = [(gettext("Taxes"), url_for("sales.taxes"))]
    return render_template("core/form.html", form=form, title=gettext("New tax"), crumbs=crumbs)


@blueprint.route("/taxes/<int:tax_id>", methods=["GET", "POST"])
@requires(EDIT)
def tax(tax_id: int) -> ResponseReturnValue:
    """Change a tax."""
    row = db.session.get(Tax, tax_id) or abort(404)
    form = _tax_form(row)
    if submit(form, lambda: save_tax(row, _values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("sales.taxes"))
    crumbs = [(gettext("Taxes"), url_for("sales.taxes"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)
