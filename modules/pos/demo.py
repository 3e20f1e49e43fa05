"""Demonstration data of the till: registers, payment methods, a session with tickets."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

from flask import Flask
from sqlalchemy import select

from core import demo, demo_products
from core.companies.models import Company
from core.db import db, transaction
from core.products.models import Product
from core.totals import gross_price
from modules.pos.models import Register
from modules.pos.service.cashiers import set_pin
from modules.pos.service.registers import open_session, save_method, save_register, save_settings
from modules.pos.service.sale import Sale, SaleLine, SalePayment
from modules.pos.service.tickets import ring_up
from modules.pos.states import PaymentKind, ReceiptFormat

CASHIER_PIN = "2468"  # of the demonstration only; the database keeps no PIN, but its hash


def load(app: Flask) -> None:
    """Load the demonstration data of the till, after that of core, on which it builds."""
    demo.load(app)
    french, english = demo.demo_company(demo.ATELIER), demo.demo_company(demo.HARBOUR)
    if french is None or english is None or db.session.scalar(select(Register.id).limit(1)) is not None:
        return
    with transaction():
        products = demo_products.load()
        for position, (name, kind, company) in enumerate(
            (
                ("Espèces", PaymentKind.CASH, french),
                ("Carte bancaire", PaymentKind.CARD, french),
                ("Chèque cadeau", PaymentKind.OTHER, french),
                ("Cash", PaymentKind.CASH, english),
                ("Card", PaymentKind.CARD, english),
            ),
            1,
        ):
            save_method(None, {"name": name, "kind": kind, "company_id": company.id, "position": position})
        first = save_register(None, {"company_id": french.id, "code": "C1", "name": "Caisse principale"})
        save_register(
            None,
            {
                "company_id": french.id, "code": "C2", "name": "Caisse de l’atelier",
                "receipt_format": ReceiptFormat.ROLL_58,
            },
        )  # fmt: skip
        save_register(None, {"company_id": english.id, "code": "T1", "name": "Shop counter"})
        save_settings(french.id, {"footer": "Échange sous 30 jours avec ce ticket.\nMerci de votre visite !"})
        save_settings(english.id, {"footer": "Exchange within 30 days with this receipt."})
        cashier = demo.demo_user("cashier")
        if cashier is not None:
            set_pin(cashier, CASHIER_PIN)
        open_session(first, Decimal(150), cashier)
        for minutes, partner, basket in (
            (190, None, (("AMP-027", 3), ("CAB-003", 2))),
            (95, "Dupont & Fils", (("LUM-210", 1),)),
            (20, None, (("LIB-001", 1), ("AMP-027", 1))),
        ):
            customer = demo.demo_partner(partner) if partner else None
            lines = [_line(products[code], quantity, french) for code, quantity in basket]
            total = sum((line.quantity * line.unit_price for line in lines), Decimal(0))
            ring_up(
                first,
                Sale(
                    client_id=str(uuid.uuid4()),
                    lines=lines,
                    payments=[SalePayment(PaymentKind.CARD, "Carte bancaire", total)],
                    age=dt.timedelta(minutes=minutes),
                    partner_id=customer.id if customer else None,
                ),
                cashier,
            )


def _line(product: Product, quantity: int, company: Company) -> SaleLine:
    rate = product.tax.rate if product.tax is not None else None
    return SaleLine(
        product.name,
        Decimal(quantity),
        gross_price(product.unit_price, rate, company.currency),
        tax_name=product.tax.name if product.tax is not None else "",
        tax_rate=rate,
        product_id=product.id,
    )
