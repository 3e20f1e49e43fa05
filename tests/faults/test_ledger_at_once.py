"""Two people at one thing of the ledger: both get an answer in words, and what must hold of the rows holds after it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.documents.models import Document
from core.documents.service import change_customer
from core.errors import UserError
from core.followers.models import Follower
from core.followers.service import followers_of, restore, set_by_mail, unfollow
from core.partners.models import Partner
from core.partners.service import make_main_contact, save_contact, save_partner
from core.products.models import Product
from core.products.service import save_product
from modules.pos.models import Register
from modules.pos.service.registers import close_session, open_session, open_session_of, save_register
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.states import InvoiceState, OrderState
from tests.at_once import failures_at_once
from tests.ledger import *  # noqa: F403 (fixtures)

pytestmark = pytest.mark.both_databases

TURNS = 5


def _words(raised: list[BaseException]) -> None:
    """Expect that nobody was told anything but a sentence."""
    assert all(isinstance(error, UserError) for error in raised), raised


def _canceled_draft(make_invoice: Callable[..., Invoice]) -> tuple[int, int]:
    draft = make_invoice(posted=False)
    invoices.cancel(draft)
    assert draft.order_id is not None
    return draft.document_id, draft.order_id


def test_reopening_a_draft_and_invoicing_the_order_leaves_one(
    app: Flask,
    make_invoice: Callable[..., Invoice],
) -> None:
    for _ in range(TURNS):
        draft_id, order_id = _canceled_draft(make_invoice)
        raised = failures_at_once(
            app,
            lambda draft_id=draft_id: invoices.reopen(db.session.get_one(Invoice, draft_id)),
            lambda order_id=order_id: invoices.invoice_order(db.session.get_one(Order, order_id), None),
        )
        _words(raised)
        assert len(raised) == 1
        assert orders.invoice_of(db.session.get_one(Order, order_id)) is not None


def test_reopening_a_draft_and_canceling_the_order_leaves_no_invoice_of_a_canceled_order(
    app: Flask,
    make_invoice: Callable[..., Invoice],
) -> None:
    for _ in range(TURNS):
        draft_id, order_id = _canceled_draft(make_invoice)
        raised = failures_at_once(
            app,
            lambda draft_id=draft_id: invoices.reopen(db.session.get_one(Invoice, draft_id)),
            lambda order_id=order_id: orders.cancel(db.session.get_one(Order, order_id)),
        )
        _words(raised)
        assert len(raised) == 1
        order, invoice = db.session.get_one(Order, order_id), db.session.get_one(Invoice, draft_id)
        assert (order.state is OrderState.CANCELED) is (invoice.state is InvoiceState.CANCELED)


def test_opening_a_register_and_changing_the_currency_leaves_one_currency(
    app: Flask, company: Company, make_user: Callable[..., User]
) -> None:
    cashier = make_user("cashier")
    for turn in range(TURNS):
        register = save_register(None, {"company_id": company.id, "code": f"R{turn}", "name": "Till"})
        wanted = "USD" if company.currency == "EUR" else "EUR"
        raised = failures_at_once(
            app,
            lambda wanted=wanted, number=company.id: save_company(
                db.session.get_one(Company, number), {"currency": wanted}
            ),
            lambda number=register.id: open_session(db.session.get_one(Register, number), Decimal(5), None),
        )
        _words(raised)
        opened = open_session_of(register.id)
        assert opened is not None
        assert opened.currency == company.currency
        close_session(opened, Decimal(5), cashier)


@pytest.mark.parametrize("field", ["barcode", "code"])
@pytest.mark.parametrize("shared", [False, True])
def test_two_products_do_not_get_one_code(app: Flask, company: Company, field: str, shared: bool) -> None:
    for turn in range(TURNS):
        values = {"name": "Lamp", field: f"37600{turn}"}
        raised = failures_at_once(
            app,
            lambda values=values, number=company.id: save_product(None, {**values, "company_id": number}),
            lambda values=values, number=company.id: save_product(
                None, {**values, "company_id": None if shared else number}
            ),
        )
        _words(raised)
        column = getattr(Product, field)
        assert len(db.session.scalars(select(Product.id).where(column == values[field])).all()) == 1


def test_two_main_contacts_of_one_customer_wait_for_each_other_and_one_stays(
    app: Flask,
    customer: Partner,
) -> None:
    people = [save_contact(customer, f"C{n}", f"c{n}@dupont.example.com").id for n in range(3)]
    customer_id = customer.id
    for turn in range(TURNS * 2):
        first, second = people[turn % 3], people[(turn + 1) % 3]
        raised = failures_at_once(
            app,
            lambda first=first: make_main_contact(db.session.get_one(Partner, first)),
            lambda second=second: make_main_contact(db.session.get_one(Partner, second)),
        )
        assert raised == []
        mains = db.session.scalars(
            select(Partner.id).where(Partner.parent_id == customer_id, Partner.is_main)
        ).all()
        assert len(mains) == 1


@pytest.mark.parametrize("verb", [unfollow, restore, lambda follower: set_by_mail(follower, False)])
def test_a_follower_is_changed_while_the_customer_is(
    app: Flask,
    make_quotation: Callable[..., Order],
    salesperson: User,
    verb: Callable[[Follower], None],
) -> None:
    others = [save_partner(None, {"name": f"Other {turn}"}).id for turn in range(TURNS)]
    for other in others:
        order = make_quotation()
        follower = next(row for row in followers_of(order.document_id) if row.partner_id)
        raised = failures_at_once(
            app,
            lambda number=order.document_id, other=other: change_customer(
                db.session.get_one(Document, number), other, None
            ),
            lambda number=follower.id: verb(db.session.get_one(Follower, number)),
        )
        _words(
            [error for error in raised if not isinstance(error, NoResultFound)]
        )  # gone before it was asked for
        assert order.document.partner_id == other


def test_a_follower_that_went_meanwhile_is_told(
    app: Flask,
    make_quotation: Callable[..., Order],
) -> None:
    order = make_quotation()
    other = save_partner(None, {"name": "Other"}).id
    follower = next(row for row in followers_of(order.document_id) if row.partner_id)
    assert not failures_at_once(
        app, lambda: change_customer(db.session.get_one(Document, order.document_id), other, None)
    )
    with pytest.raises(UserError, match="not there any more"):
        unfollow(follower)
