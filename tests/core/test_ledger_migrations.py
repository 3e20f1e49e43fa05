"""What an installation had before the ledger was guarded survives, and what it should not have had is mended."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import select, text

from core import migrate
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading, transaction
from core.partners.models import Partner
from core.partners.service import make_main_contact, save_contact
from core.products.models import Product
from core.products.service import save_product
from modules.pos.models import Session, Ticket
from modules.sales.models import Invoice
from modules.sales.service import invoices
from modules.sales.service.lines import lines_of
from modules.sales.states import InvoiceState
from tests.ledger import *  # noqa: F403 (fixtures)

FORMER = {"distribution": "base", "pos": "e3b60d5a17c8", "sales": "d2f4a86b1e90", "core": "c48e0d7a61f2"}


@pytest.mark.both_databases
def test_former_rows_survive_and_what_contradicts_is_mended(
    app: Flask,
    company: Company,
    customer: Partner,
    cashier: User,
    session: Session,
    sell: Callable[..., Ticket],
    make_invoice: Callable[..., Invoice],
) -> None:
    ticket, posted = sell(partner_id=customer.id), make_invoice()
    draft, live = make_invoice(posted=False), make_invoice(posted=False)
    invoices.cancel(draft)
    first, second = (
        save_product(None, {"name": "Lamp", "barcode": code, "company_id": company.id}) for code in "12"
    )
    people = [save_contact(customer, f"C{n}", f"c{n}@dupont.example.com") for n in range(2)]
    make_main_contact(people[0])
    ids = [ticket.document_id, posted.document_id, draft.document_id, live.document_id, session.id]
    orders = [draft.order_id, live.order_id]
    products, contacts = [first.id, second.id], [one.id for one in people]
    modules = {module.name: module for module in migrate.migrated_modules()}
    end_reading()
    for name, version in FORMER.items():
        command.downgrade(migrate.alembic_config(modules[name]), version)
    with transaction() as database:
        for number in orders:
            database.execute(
                text("UPDATE sales_order SET state = 'canceled' WHERE document_id = :id"), {"id": number}
            )
        database.execute(text("UPDATE core_product SET barcode = '1'"))
        database.execute(text("UPDATE core_partner SET is_main = true WHERE parent_id IS NOT NULL"))
        database.execute(text("UPDATE core_company SET currency = 'USD'"))
    end_reading()
    migrate.upgrade(app)
    db.session.expire_all()
    for module in modules.values():
        assert migrate.differences(module) == []
    ticket, posted = db.session.get_one(Ticket, ids[0]), db.session.get_one(Invoice, ids[1])
    assert (ticket.customer_name, ticket.cashier_name, ticket.timezone) == (
        "Dupont & Fils",
        "Cashier",
        "Europe/Paris",
    )
    assert (len(ticket.lines), len(ticket.payments), len(lines_of(ids[1]))) == (1, 1, 1)
    assert (posted.state, posted.contact_name) == (InvoiceState.POSTED, "Sophie Bernard")
    for number in ids[2:4]:
        row = db.session.get_one(Invoice, number)
        assert (row.state, row.superseded) == (InvoiceState.CANCELED, True)
    assert db.session.get_one(Session, ids[4]).currency == "EUR"
    assert db.session.get_one(Session, ids[4]).opening_cash == Decimal(100)
    codes = db.session.scalars(
        select(Product.barcode).where(Product.id.in_(products)).order_by(Product.id)
    ).all()
    assert codes == ["1", f"1-{products[1]}"]
    mains = db.session.scalars(select(Partner.id).where(Partner.is_main)).all()
    assert mains == contacts[:1]
