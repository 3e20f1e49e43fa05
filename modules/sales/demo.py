"""Demonstration data of sales: documents in every state, in French and English."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

from flask import Flask

from core import clock, demo, demo_products
from core.auth.models import User
from core.companies.models import Company
from core.db import transaction
from core.products.models import Product
from core.products.service import line_text
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues

_Quantities = Sequence[tuple[str, str, str]]
"""Code of the product, quantity, discount in percent."""


def load(app: Flask) -> None:
    """Load the demonstration data of sales, after that of core, on which it builds."""
    demo.load(app)
    french, english = demo.demo_company(demo.ATELIER), demo.demo_company(demo.HARBOUR)
    if french is None or english is None:
        return
    with transaction():
        products = demo_products.load()
        _french_documents(_Seller(french, demo.demo_user("sophie"), products, "30 jours net, par virement"))
        _english_documents(
            _Seller(english, demo.demo_user("oliver"), products, "30 days net, by bank transfer")
        )


class _Seller:
    """Writes the documents of one company."""

    def __init__(
        self, company: Company, user: User | None, products: Mapping[str, Product], terms: str
    ) -> None:
        self.company = company
        self.user = user
        self.products = products
        self.terms = terms
        self.today = clock.day_in("UTC")

    def quotation(
        self, customer: str, days_ago: int, lines: _Quantities, *, note: str = "", language: str = ""
    ) -> Order:
        partner = demo.demo_partner(customer)
        assert partner is not None  # noqa: S101 (loaded by core.demo just before)
        date = self.today - dt.timedelta(days=days_ago)
        return orders.create_quotation(
            self.company,
            orders.QuotationValues(
                partner_id=partner.id,
                date=date,
                lines=[self._line(*line) for line in lines],
                language=language,
                validity_date=date + orders.VALID_FOR,
                payment_terms=self.terms,
                note=note,
            ),
            self.user,
        )

    def _line(self, code: str, quantity: str, discount: str) -> LineValues:
        product = self.products[code]
        return LineValues(
            description=line_text(product.name, product.description),
            quantity=Decimal(quantity),
            unit_price=product.unit_price,
            discount=Decimal(discount),
            unit=product.unit,
            product_id=product.id,
            tax_id=product.tax_id,
        )

    def order(self, customer: str, days_ago: int, lines: _Quantities, **more: str) -> Order:
        order = self.quotation(customer, days_ago, lines, **more)
        orders.confirm(order)
        order.delivery_date = order.document.date + dt.timedelta(days=14)
        return order

    def draft(self, order: Order) -> Invoice:
        return invoices.invoice_order(order, self.user)

    def posted(self, order: Order, days_ago: int) -> Invoice:
        return self.post(self.draft(order), days_ago)

    def post(self, invoice: Invoice, days_ago: int) -> Invoice:
        invoice.document.date, invoice.date_chosen = self.today - dt.timedelta(days=days_ago), True
        invoices.post(invoice)
        return invoice


def _french_documents(seller: _Seller) -> None:
    large = (("LUM-100", "6", "10"), ("LUM-200", "4", "0"), ("AMP-027", "24", "5"), ("POS-001", "7.5", "0"))
    small = (("LUM-210", "2", "0"), ("LIV-001", "1", "0"))
    study = (("ETU-001", "12", "0"), ("LIB-001", "3", "0"))
    seller.posted(seller.order("Dupont & Fils", 62, large, note="Livraison à l’étage comprise."), 55)
    seller.posted(seller.order("Garage Moreau", 48, (("LUM-300", "3", "0"), ("CAB-003", "42.5", "0"))), 41)
    first = seller.posted(seller.order("Cabinet Roussel Architectes", 40, (*study, *large)), 33)
    seller.posted(
        seller.order("Mairie de Saint-Aubin", 30, (("LUM-110", "8", "12.5"), ("POS-001", "16", "0"))), 20
    )
    seller.post(invoices.create_credit_note(first, seller.user), 12)
    seller.draft(seller.order("Hôtel des Trois Ponts", 15, (("LUM-200", "36", "15"), ("LIV-001", "1", "0"))))
    seller.order("Dupont & Fils", 9, small)
    seller.order("Boulangerie Lefèvre", 6, (("LUM-210", "5", "0"), ("AMP-027", "10", "0")))
    orders.cancel(seller.quotation("Garage Moreau", 35, small))
    seller.quotation("Librairie Žižka", 8, study)
    seller.quotation(
        "Mairie de Saint-Aubin", 5, large, note="Offre établie sur la base du plan du 12 octobre."
    )
    seller.quotation("Cabinet Roussel Architectes", 3, (*large, *study, *small))
    seller.quotation("Hôtel des Trois Ponts", 1, (("LUM-110", "12", "8"), ("POS-001", "20", "0")))
    seller.quotation("Dupont & Fils", 0, large)
    invoices.create_credit_note(seller.posted(seller.order("Dupont & Fils", 11, study), 4), seller.user)


def _english_documents(seller: _Seller) -> None:
    office = (("DSK-160", "4", "5"), ("CHR-002", "4", "0"), ("SVC-001", "6", "0"), ("BOO-001", "4", "0"))
    school = (("CHR-001", "60", "12.5"), ("DLV-001", "1", "0"))
    shelf = (("SHF-010", "3", "0"), ("OIL-500", "2", "0"))
    seller.posted(seller.order("Brightwell Primary School", 52, school, note="Deliver during half term."), 45)
    first = seller.posted(seller.order("Kestrel Engineering Ltd", 38, office), 31)
    seller.posted(seller.order("The Copper Kettle", 24, shelf), 18)
    seller.post(invoices.create_credit_note(first, seller.user), 10)
    seller.draft(seller.order("O'Sullivan & Daughters", 12, (("DSK-120", "2", "0"), *shelf)))
    seller.order("Kestrel Engineering Ltd", 7, shelf)
    orders.cancel(seller.order("The Copper Kettle", 20, school))
    seller.quotation("Αφοί Παπαδόπουλοι", 4, office)
    seller.quotation("Brightwell Primary School", 2, (*school, *shelf))
    seller.quotation("Kestrel Engineering Ltd", 0, office)
