"""The editor that quotations and invoices share: customers, lines, totals while typing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from babel.numbers import list_currencies
from flask import abort, flash, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.companies.models import Company
from core.companies.service import companies_for, current_company
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.documents.models import Document
from core.followers.service import followers_of_customer
from core.i18n import gettext
from core.partners.reach import partner_for
from core.products.models import Product, Tax, TaxRule
from core.products.service import (
    find_products,
    line_text_in,
    of_company,
    payment_terms_of,
    product_label,
    taxes_of,
    usual_tax,
)
from core.products.tax_rules import changed_tax, instead, rules_of
from core.totals import AmountTooLargeError, TaxedAmount, Totals, compute, line_subtotal
from core.web.formats import money, price
from core.web.forms import submit
from modules.sales import queries
from modules.sales.forms import (
    DocumentForm,
    TypedLine,
    blank_line,
    shown_price,
    typed_lines,
)
from modules.sales.service.agreed import rule_of_customer
from modules.sales.service.lines import LineValues, too_long
from modules.sales.views.blueprint import blueprint


def company_of_form() -> Company:
    """Return the company of a new document: the one that the form was opened for, while the user works there.

    Somebody may have changed to another company in another window meanwhile; what they typed here was for
    the taxes and prices of this one.
    """
    user = signed_in_user()
    wanted = request.form.get("company_id", type=int)
    return next(
        (company for company in companies_for(user) if company.id == wanted), None
    ) or current_company(user)


def ask_about_former(form: DocumentForm, document: Document) -> None:
    """Ask what becomes of the present customer of a document once another is chosen."""
    form.ask_about(document.partner_id, followers_of_customer(document.id, document.partner_id))


class Editor:
    """The form of one document with its lines."""

    def __init__(self, form: DocumentForm, company: Company, document: Document | None):
        form.of_company(company.id)
        self.form = form
        self.company = company
        self.document = document
        # A document keeps its currency, also when the company gets another one.
        self.currency = document.currency if document is not None else company.currency

    @property
    def language(self) -> str:
        """The language that the document has, or will have once the form is saved."""
        return _language(self.form.language.data, self.form.partner_id.data, self.company)

    @property
    def lines(self) -> list[TypedLine]:
        """The lines as they stand on the page."""
        return self.form.lines.data

    def submit(self, action: Callable[[list[LineValues]], Any]) -> bool:
        """Do what the form is for unless something in it is wrong; True when it is done."""
        if request.method != "POST":
            return False
        if any(line.errors for line in self.lines):
            self.form.validate()
            flash(gettext("Please correct the marked fields."), "danger")
            return False
        return submit(
            self.form, lambda: action([line.values for line in self.lines if line.values is not None])
        )

    def page(self, title: str, crumbs: list[tuple[str, str]]) -> ResponseReturnValue:
        """Return the page with everything that was typed."""
        rules = {rule.id: rule for rule in rules_of(self.company.id, self.form.rule_id)}
        if request.method == "GET" and self.document is None:
            proposed = _rule_of_customer(self.form.partner_id.data, self.company)
            self.form.tax_rule_id.data = str(proposed.id) if proposed is not None else ""
        rule = rules.get(self.form.rule_id or 0)
        new_line = blank_line(instead(rule, _usual_id(self.company.id)))
        lines = self.lines or [new_line]
        language = self.language
        totals = _totals(lines, self.currency, self.company.id, language)
        _name_products(lines, self.company.id)
        html = render_template(
            "sales/edit.html",
            form=self.form,
            title=title,
            crumbs=crumbs,
            company=self.company,
            document=self.document,
            mention=rule.said("mention", language) if rule is not None else "",
            has_rules=bool(rules),
            lines=lines,
            new_line=new_line,
            totals=totals,
            too_long=_too_long(lines),
            currency=self.currency,
            taxes=[
                {"id": tax.id, "key": str(tax.id), "name": tax.said("name", language)}
                for tax in self._taxes(lines)
            ],
            terms=sorted({one.said("name", language) for one in payment_terms_of(self.company.id)}),
        )
        return html, 422 if request.method == "POST" else 200

    def _taxes(self, lines: list[TypedLine]) -> list[Tax]:
        """Return the taxes to choose from, among them those that lines have already."""
        taxes = taxes_of(self.company.id)
        known = {str(tax.id) for tax in taxes}
        used = {line.typed["tax_id"] for line in lines} - known - {""}
        numbers = [int(text) for text in used if text.isascii() and text.isdigit() and len(text) < 12]
        theirs = select(Tax).where(Tax.id.in_(numbers), of_company(Tax, self.company.id))
        return taxes + (list(db.session.scalars(theirs)) if numbers else [])


def _usual_id(company_id: int) -> int | None:
    usual = usual_tax(company_id)
    return usual.id if usual is not None else None


def _rule_of_customer(partner_id: int | None, company: Company) -> TaxRule | None:
    partner = partner_for(signed_in_user(), partner_id, company_id=company.id) if partner_id else None
    return rule_of_customer(partner, company)


def _name_products(lines: list[TypedLine], company_id: int) -> None:
    ids = {line.values.product_id for line in lines if line.values is not None}
    ids |= {
        int(t) for line in lines if (t := line.typed["product_id"]).isascii() and t.isdigit() and len(t) < 12
    }
    if not ids:
        return
    # Of this company: the ids come from the page.
    theirs = select(Product).where(Product.id.in_(ids), of_company(Product, company_id))
    names = {str(product.id): product_label(product) for product in db.session.scalars(theirs)}
    for line in lines:
        line.product_label = names.get(line.typed["product_id"], "")


def _too_long(lines: list[TypedLine]) -> str:
    """Return the sentence about lines that are more than a document holds, or ""."""
    return str(too_long([line.typed["description"].strip() for line in lines if not line.blank]) or "")


def _language(chosen: str | None, partner_id: int | None, company: Company) -> str:
    """Return the language of a document: what was chosen, else the customer's, else the company's."""
    if chosen in SUPPORTED_LANGUAGES:
        return str(chosen)
    partner = partner_for(signed_in_user(), partner_id) if partner_id else None
    return partner.language if partner is not None else company.language


def _language_of_form(company: Company) -> str:
    """Return the language of the document in whose form somebody types."""
    asked = request.values
    return _language(asked.get("language"), asked.get("partner_id", type=int), company)


def _totals(lines: list[TypedLine], currency: str, company_id: int, language: str) -> Totals | None:
    """Return the totals of the lines that make sense so far, and write each subtotal into its line."""
    for line in lines:
        if line.values is None and not line.blank and not line.errors:
            line.read()
    wanted = {line.values.tax_id for line in lines if line.values is not None and line.values.tax_id}
    theirs = select(Tax).where(Tax.id.in_(wanted), of_company(Tax, company_id))
    taxes = {tax.id: tax for tax in db.session.scalars(theirs)} if wanted else {}
    amounts = []
    for line in lines:
        if line.values is None:
            continue
        value = line.values
        try:
            subtotal = line_subtotal(value.quantity, value.unit_price, value.discount, currency)
        except AmountTooLargeError:
            line.errors["unit_price"] = gettext("This amount is too large.")
            continue
        line.subtotal = money(subtotal, currency)
        tax = taxes.get(value.tax_id) if value.tax_id else None
        amounts.append(
            TaxedAmount(subtotal, tax.rate if tax else None, tax.said("name", language) if tax else "")
        )
    try:
        return compute(amounts, currency)
    except AmountTooLargeError:
        return None


def _currency_of_form(company: Company) -> str:
    """Return the currency of the document in whose form somebody types."""
    asked = request.args.get("currency", "")
    return asked if asked in list_currencies() else company.currency


@blueprint.post("/companies/<int:company_id>/preview")
@requires(queries.EDIT)
def preview(company_id: int) -> ResponseReturnValue:
    """Show what the lines in a form come to; nothing is kept."""
    company = queries.get_company(signed_in_user(), company_id) or abort(404)
    lines = typed_lines(request.form, keep_blank=True)
    currency = _currency_of_form(company)
    totals = _totals(lines, currency, company_id, _language_of_form(company))
    return render_template(
        "sales/totals.html",
        lines=lines,
        totals=totals,
        too_long=_too_long(lines),
        currency=currency,
    )


@blueprint.post("/companies/<int:company_id>/taxes")
@requires(queries.EDIT)
def taxes_by_rule(company_id: int) -> ResponseReturnValue:
    """Return the taxes of the lines in a form by another rule, or by that of another customer; nothing is kept."""
    company = queries.get_company(signed_in_user(), company_id) or abort(404)
    before_id, rule_id = (request.args.get("before", type=int), request.form.get("tax_rule_id", type=int))
    rules = {rule.id: rule for rule in rules_of(company_id, before_id)}
    rule = (
        _rule_of_customer(request.form.get("partner_id", type=int), company)
        if "customer" in request.args
        else rules.get(rule_id or 0)
    )
    before, usual_id = rules.get(before_id or 0), _usual_id(company_id)
    lines = typed_lines(request.form, keep_blank=True)
    wanted = {line.values.product_id for line in lines if line.values is not None and line.values.product_id}
    theirs = select(Product.id, Product.tax_id).where(Product.id.in_(wanted), of_company(Product, company_id))
    of_products: dict[int, int | None] = dict(db.session.execute(theirs).all()) if wanted else {}
    taxes = []
    for line in lines:
        product_id = line.values.product_id if line.values is not None else None
        text = line.typed["tax_id"]
        tax_id = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
        changed = changed_tax(tax_id, of_products.get(product_id or 0, usual_id), before, rule)
        taxes.append(str(changed or ""))
    return jsonify(
        rule=str(rule.id) if rule is not None else "",
        mention=rule.said("mention", _language_of_form(company)) if rule is not None else "",
        taxes=taxes,
        usual=str(instead(rule, usual_id) or ""),
    )


@blueprint.get("/companies/<int:company_id>/products")
@requires(queries.EDIT)
def product_search(company_id: int) -> ResponseReturnValue:
    """Return the products of a company that match a text, for the choice in a line.

    What they fill in is said in the language of the document; they are called as the house calls them, by which they
    are searched. Their prices are in the currency of the company: for a document in another one a person types the
    price.
    """
    company = queries.get_company(signed_in_user(), company_id) or abort(404)
    same = _currency_of_form(company) == company.currency
    rules = {rule.id: rule for rule in rules_of(company_id)}
    rule = rules.get(request.args.get("tax_rule_id", 0, type=int))
    language = _language_of_form(company)
    return jsonify(
        [
            {
                "id": str(product.id),
                "label": product_label(product),
                "description": line_text_in(product, language),
                "unit": product.said("unit", language),
                "unit_price": shown_price(product.unit_price, company.currency) if same else "",
                "price": price(product.unit_price, company.currency),
                "tax_id": str(instead(rule, product.tax_id) or ""),
            }
            for product in find_products(company_id, request.args.get("q", "")[:80].strip())
        ]
    )
