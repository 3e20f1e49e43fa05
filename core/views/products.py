"""Products, taxes and terms of payment."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import false, select
from wtforms import (
    BooleanField,
    FieldList,
    Form,
    FormField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)

from core.auth.permissions import requires
from core.db import db
from core.i18n import N_, gettext
from core.i18n import lazy_gettext as _l
from core.matching import found_in
from core.pickers import CompanyField
from core.products.models import PaymentTerms, Product, Tax
from core.products.service import save_payment_terms, save_product, save_tax
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES
from core.views.spoken import (
    IN_OTHER_LANGUAGES,
    SpokenForm,
    one_language_a_line,
    spoken_values,
    words_of,
)
from core.web.forms import LocalDecimalField, at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import Shown, record_form

EDIT = "core.product.edit"

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
    search=lambda text: found_in(text, Product.name, Product.code) | (Product.barcode == text),
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
    search=lambda text: found_in(text, Tax.name),
)

PAYMENT_TERMS = ListSpec(
    identity=PaymentTerms.id,
    sorts=(SortKey("name", N_("Payment terms"), PaymentTerms.name, lambda row: row.name),),
    filters=(
        Filter("active", N_("Active"), PaymentTerms.active.is_(True), "active"),
        Filter("archived", N_("Archived"), PaymentTerms.active == false(), "active"),
    ),
    search=lambda text: found_in(text, PaymentTerms.name),
)


class ProductWordsForm(Form):  # type: ignore[misc]
    """A product in another language."""

    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES, validate_choice=False)
    name = StringField(_l("Name"), [at_most(160)])
    description = StringField(_l("Description"), [at_most(2000)])
    unit = StringField(_l("Unit"), [at_most(20)])


class PaymentTermsWordsForm(Form):  # type: ignore[misc]
    """Terms of payment in another language."""

    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES, validate_choice=False)
    name = StringField(_l("Payment terms"), [at_most(200)])


class TaxWordsForm(Form):  # type: ignore[misc]
    """A tax in another language."""

    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES, validate_choice=False)
    name = StringField(_l("Name"), [at_most(60)])


class ProductForm(SpokenForm):
    """A product."""

    name = StringField(_l("Name"), [*required(), at_most(160)])
    code = StringField(_l("Code"), [at_most(40)])
    barcode = StringField(_l("Barcode"), [at_most(40)], description=_l("What a scanner reads"))
    category = StringField(_l("Category"), [at_most(60)], description=_l("Groups the tiles of the till"))
    unit_price = LocalDecimalField(_l("Unit price"), required(), description=_l("Without tax"))
    unit = StringField(_l("Unit"), [at_most(20)])
    tax_id = SelectField(_l("Tax"))
    company_id = CompanyField(_l("Company"))
    description = TextAreaField(
        _l("Description"), [at_most(2000)], description=_l("Below the name, on documents")
    )
    over_the_counter = BooleanField(_l("Sold at the till"), default=True)
    active = BooleanField(_l("Active"), default=True)
    words = FieldList(FormField(ProductWordsForm), **IN_OTHER_LANGUAGES)

    def offer(self, taxes: Iterable[Tax]) -> None:
        """Set the taxes to choose from."""
        self.tax_id.choices = [
            SelectChoice("", _l("No tax")),
            *(
                SelectChoice(str(tax.id), f"{tax.name} – {tax.company.name}" if tax.company else tax.name)
                for tax in taxes
            ),
        ]


class TaxForm(SpokenForm):
    """A tax."""

    name = StringField(
        _l("Name"), [*required(), at_most(60)], description=_l("As printed, for example “VAT 20 %”")
    )
    rate = LocalDecimalField(_l("Rate in percent"), required(), minimum=Decimal(0), maximum=Decimal(100))
    company_id = CompanyField(_l("Company"))
    active = BooleanField(_l("Active"), default=True)
    words = FieldList(FormField(TaxWordsForm), **IN_OTHER_LANGUAGES)


class PaymentTermsForm(SpokenForm):
    """Terms of payment."""

    name = StringField(
        _l("Payment terms"),
        [*required(), at_most(200)],
        description=_l("As printed, for example “30 days net”"),
    )
    company_id = CompanyField(_l("Company"))
    active = BooleanField(_l("Active"), default=True)
    words = FieldList(FormField(PaymentTermsWordsForm), **IN_OTHER_LANGUAGES)


@blueprint.get("/products")
@requires(EDIT)
def products() -> ResponseReturnValue:
    """List products."""
    page = paginate(select(Product), PRODUCTS, default_filters=("active",))
    chosen: dict[str, Any] = {
        "q": page.search or None,
        "f": list(page.active),
        "all": None if page.active else 1,
    }
    return render_template(
        "core/products/products.html",
        page=page,
        export_url=lambda form: url_for("core.products_export", form=form, **chosen),
    )


def _product_form(row: Product | None, **how: None) -> ProductForm:
    tax_id = row.tax_id if row else None
    shown = Shown(row, tax_id=str(tax_id or ""), words=words_of(row))
    form = ProductForm(obj=shown, **how)
    one_language_a_line(form)
    offered = Tax.active | (Tax.id == tax_id)
    form.offer(db.session.scalars(select(Tax).where(offered).order_by(Tax.name)))
    return form


@blueprint.route("/products/new", methods=["GET", "POST"])
@requires(EDIT)
def product_new() -> ResponseReturnValue:
    """Make a product."""
    form = _product_form(None)
    if submit(form, lambda: save_product(None, spoken_values(form))):
        return redirect(url_for("core.products"))
    crumbs = [(gettext("Products"), url_for("core.products"))]
    return render_template("core/form.html", form=form, title=gettext("New product"), crumbs=crumbs)


@blueprint.route("/products/<int:product_id>", methods=["GET", "POST"])
@requires(EDIT)
def product(product_id: int) -> ResponseReturnValue:
    """Change a product."""
    row = db.session.get(Product, product_id) or abort(404)
    form = record_form(row, partial(_product_form, row))
    if submit(form, lambda: save_product(row, spoken_values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.products"))
    crumbs = [(gettext("Products"), url_for("core.products"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)


@blueprint.get("/taxes")
@requires(EDIT)
def taxes() -> ResponseReturnValue:
    """List taxes."""
    page = paginate(select(Tax), TAXES, default_filters=("active",))
    return render_template("core/products/taxes.html", page=page)


def _tax_form(row: Tax | None, **how: None) -> TaxForm:
    form = TaxForm(obj=Shown(row, words=words_of(row)), **how)
    one_language_a_line(form)
    return form


@blueprint.route("/taxes/new", methods=["GET", "POST"])
@requires(EDIT)
def tax_new() -> ResponseReturnValue:
    """Make a tax."""
    form = _tax_form(None)
    if submit(form, lambda: save_tax(None, spoken_values(form))):
        return redirect(url_for("core.taxes"))
    crumbs = [(gettext("Taxes"), url_for("core.taxes"))]
    return render_template("core/form.html", form=form, title=gettext("New tax"), crumbs=crumbs)


@blueprint.route("/taxes/<int:tax_id>", methods=["GET", "POST"])
@requires(EDIT)
def tax(tax_id: int) -> ResponseReturnValue:
    """Change a tax."""
    row = db.session.get(Tax, tax_id) or abort(404)
    form = record_form(row, partial(_tax_form, row))
    if submit(form, lambda: save_tax(row, spoken_values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.taxes"))
    crumbs = [(gettext("Taxes"), url_for("core.taxes"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)


@blueprint.get("/payment-terms")
@requires(EDIT)
def payment_terms() -> ResponseReturnValue:
    """List terms of payment."""
    page = paginate(select(PaymentTerms), PAYMENT_TERMS, default_filters=("active",))
    return render_template("core/products/payment_terms.html", page=page)


def _payment_terms_form(row: PaymentTerms | None, **how: None) -> PaymentTermsForm:
    form = PaymentTermsForm(obj=Shown(row, words=words_of(row)), **how)
    one_language_a_line(form)
    return form


@blueprint.route("/payment-terms/new", methods=["GET", "POST"])
@requires(EDIT)
def payment_terms_new() -> ResponseReturnValue:
    """Make terms of payment."""
    form = _payment_terms_form(None)
    if submit(form, lambda: save_payment_terms(None, spoken_values(form))):
        return redirect(url_for("core.payment_terms"))
    crumbs = [(gettext("Payment terms"), url_for("core.payment_terms"))]
    return render_template("core/form.html", form=form, title=gettext("New payment terms"), crumbs=crumbs)


@blueprint.route("/payment-terms/<int:terms_id>", methods=["GET", "POST"])
@requires(EDIT)
def payment_terms_edit(terms_id: int) -> ResponseReturnValue:
    """Change terms of payment."""
    row = db.session.get(PaymentTerms, terms_id) or abort(404)
    form = record_form(row, partial(_payment_terms_form, row))
    if submit(form, lambda: save_payment_terms(row, spoken_values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.payment_terms"))
    crumbs = [(gettext("Payment terms"), url_for("core.payment_terms"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)
