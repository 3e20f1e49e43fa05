"""What is posted, sold or counted stays, whoever writes: the ORM, SQL as text, another program."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core import migrate
from core.auth.models import User
from core.auth.service import save_user
from core.db import FrozenError, db, end_reading, transaction
from core.documents.models import Document
from core.partners.merging import merge
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.pos.models import Register, Session, Ticket
from modules.pos.pdf import receipt_html
from modules.pos.service.registers import close_session
from modules.sales.models import Invoice
from modules.sales.pdf import document_html
from modules.sales.service import invoices
from modules.sales.service.lines import lines_of
from tests.ledger import *  # noqa: F403 (fixtures)

pytestmark = pytest.mark.both_databases

INTO_SALES_LINE = (
    "INSERT INTO sales_line (document_id, position, description, quantity, unit, unit_price, discount, tax_name, "
    "subtotal) VALUES "
)
INTO_POS_LINE = (
    "INSERT INTO pos_line (document_id, position, description, quantity, unit_price, discount, tax_name, "
    "total) VALUES "
)
# {invoice} is posted, {draft} is not, {ticket} is sold, {session} is closed.
STATEMENTS = [
    "UPDATE sales_invoice SET note = 'x' WHERE document_id = {invoice}",
    "UPDATE sales_invoice SET state = 'draft' WHERE document_id = {invoice}",
    "UPDATE sales_invoice SET customer_name = 'x' WHERE document_id = {invoice}",
    "UPDATE sales_invoice SET contact_name = 'x' WHERE document_id = {invoice}",
    "UPDATE sales_invoice SET due_date = NULL WHERE document_id = {invoice}",
    "DELETE FROM sales_invoice WHERE document_id = {invoice}",
    "UPDATE sales_line SET document_id = {draft} WHERE document_id = {invoice}",
    "UPDATE sales_line SET document_id = {invoice}, position = 77 WHERE document_id = {draft}",
    "UPDATE sales_line SET quantity = 990000 WHERE document_id = {invoice}",
    "UPDATE sales_line SET tax_rate = NULL WHERE document_id = {invoice}",
    "UPDATE sales_line SET description = 'x' WHERE document_id = {invoice}",
    "DELETE FROM sales_line WHERE document_id = {invoice}",
    INTO_SALES_LINE + "({invoice}, 9, 'x', 10000, '', 10000, 0, '', 10000)",
    "UPDATE core_document SET total = 1 WHERE id = {invoice}",
    "UPDATE core_document SET currency = 'USD' WHERE id = {invoice}",
    "UPDATE core_document SET date = '2020-01-01' WHERE id = {invoice}",
    "UPDATE core_document SET number = 'X' WHERE id = {invoice}",
    "UPDATE core_document SET number = '' WHERE id = {invoice}",
    "UPDATE core_document SET kind = 'sales.order' WHERE id = {invoice}",
    "UPDATE core_document SET language = 'en' WHERE id = {invoice}",
    "UPDATE core_document SET partner_id = NULL WHERE id = {invoice}",
    "DELETE FROM core_document WHERE id = {invoice}",
    "DELETE FROM core_document WHERE id = {draft}",  # its lines would be without a header
    "UPDATE pos_ticket SET change = 10000 WHERE document_id = {ticket}",
    "UPDATE pos_ticket SET customer_name = 'x' WHERE document_id = {ticket}",
    "UPDATE pos_ticket SET cashier_name = 'x' WHERE document_id = {ticket}",
    "UPDATE pos_ticket SET timezone = 'Asia/Tokyo' WHERE document_id = {ticket}",
    "UPDATE pos_ticket SET footer = 'x' WHERE document_id = {ticket}",
    "UPDATE pos_ticket SET sequence = 99 WHERE document_id = {ticket}",
    "DELETE FROM pos_ticket WHERE document_id = {ticket}",
    "UPDATE pos_line SET total = 1 WHERE document_id = {ticket}",
    "UPDATE pos_line SET document_id = {draft} WHERE document_id = {ticket}",
    "DELETE FROM pos_line WHERE document_id = {ticket}",
    INTO_POS_LINE + "({ticket}, 9, 'x', 10000, 10000, 0, '', 10000)",
    "UPDATE pos_payment SET amount = 1 WHERE document_id = {ticket}",
    "UPDATE pos_payment SET kind = 'card' WHERE document_id = {ticket}",
    "DELETE FROM pos_payment WHERE document_id = {ticket}",
    "INSERT INTO pos_payment (document_id, position, name, kind, amount) VALUES ({ticket}, 9, 'x', 'cash', 10000)",
    "UPDATE core_document SET total = 1 WHERE id = {ticket}",
    "UPDATE core_document SET date = '2020-01-01' WHERE id = {ticket}",
    "DELETE FROM core_document WHERE id = {ticket}",
    "UPDATE pos_session SET counted_cash = 0 WHERE id = {session}",
    "UPDATE pos_session SET state = 'open' WHERE id = {session}",
    "DELETE FROM pos_session WHERE id = {session}",
    "DELETE FROM pos_register WHERE id = {register}",
    "UPDATE core_sequence SET next_number = 1",  # numbers would be given again
]


@pytest.fixture
def rows(
    make_invoice: Callable[..., Invoice],
    sell: Callable[..., Ticket],
    session: Session,
    register: Register,
    cashier: User,
) -> dict[str, int]:
    """The ids of a posted invoice, a draft, a ticket and its closed session."""
    ticket = sell()
    close_session(session, Decimal("112.50"), cashier)
    return {
        "invoice": make_invoice().document_id,
        "draft": make_invoice(posted=False).document_id,
        "ticket": ticket.document_id,
        "session": session.id,
        "register": register.id,
    }


def test_no_statement_changes_what_is_final(rows: dict[str, int]) -> None:
    taken = []
    for statement in STATEMENTS:
        try:
            with transaction() as database:
                database.execute(text(statement.format(**rows)))
                database.rollback()
                taken.append(statement)
        except (FrozenError, IntegrityError):
            pass
    assert taken == []


def test_a_line_is_not_taken_out_of_a_posted_invoice_by_the_orm(
    rows: dict[str, int],
) -> None:
    with pytest.raises(FrozenError, match="credit note"), transaction():
        lines_of(rows["invoice"])[0].document_id = rows["draft"]


def test_a_ticket_is_not_changed_by_the_orm(rows: dict[str, int]) -> None:
    with pytest.raises(FrozenError), transaction():
        db.session.get_one(Ticket, rows["ticket"]).change = Decimal(1)
    with pytest.raises(FrozenError), transaction() as database:
        database.delete(db.session.get_one(Ticket, rows["ticket"]))
    with pytest.raises(FrozenError), transaction():
        db.session.get_one(Ticket, rows["ticket"]).lines[0].quantity = Decimal(9)


def test_a_receipt_is_printed_again_as_it_was(
    rows: dict[str, int],
    cashier: User,
    register: Register,
) -> None:
    ticket = db.session.get_one(Ticket, rows["ticket"])
    before = receipt_html(ticket.document, ticket)
    assert "Served by Cashier" in before
    save_user(
        cashier,
        login=cashier.login,
        name="Somebody Else",
        roles=["cashier"],
        company_ids=[register.company_id],
        language="en",
        timezone="Asia/Tokyo",
    )
    assert receipt_html(ticket.document, ticket) == before


def test_a_customers_receipt_and_an_invoice_are_printed_again_as_they_were(
    app: Flask,
    customer: Partner,
    salesperson: User,
    make_invoice: Callable[..., Invoice],
    sell: Callable[..., Ticket],
    session: Session,
) -> None:
    ticket, invoice = sell(partner_id=customer.id), make_invoice()
    with app.test_request_context():
        before = receipt_html(ticket.document, ticket), document_html(invoice.document)
        assert "Dupont &amp; Fils" in before[0]
        assert "Sophie Bernard" in before[1]
        save_partner(customer, {"name": "Renamed", "street": "Elsewhere"})
        with transaction():
            salesperson.name = "Renamed"
        assert (receipt_html(ticket.document, ticket), document_html(invoice.document)) == before
        with transaction():
            invoice.document.owner_id = None  # as when the account is deleted
        assert document_html(invoice.document) == before[1]


def test_products_and_payment_methods_may_still_go(rows: dict[str, int]) -> None:
    with transaction() as database:
        database.execute(text("UPDATE pos_line SET product_id = NULL"))
        database.execute(text("UPDATE sales_line SET product_id = NULL, tax_id = NULL"))
        database.execute(text("UPDATE pos_payment SET method_id = NULL"))
        database.execute(text("UPDATE pos_ticket SET receipt_format = 'a4', mail_problem = 'x'"))
        database.execute(
            text("UPDATE core_document SET owner_id = NULL, revision = 9 WHERE id = :id"),
            {"id": rows["ticket"]},
        )


def test_a_guard_that_is_gone_is_told_and_comes_again_with_the_next_upgrade(
    app: Flask, rows: dict[str, int]
) -> None:
    modules = {module.name: module for module in migrate.migrated_modules()}
    with transaction() as database:
        name = database.scalar(
            text("SELECT name FROM sqlite_master WHERE name LIKE 'envoi_pos_ticket_removed%'")
            if database.get_bind().dialect.name == "sqlite"
            else text("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'envoi_pos_ticket_removed%'")
        )
        database.execute(
            text(
                f"DROP TRIGGER {name}"
                if database.get_bind().dialect.name == "sqlite"
                else f"DROP TRIGGER {name} ON pos_ticket"
            )
        )
    end_reading()
    assert migrate.differences(modules["pos"]) == [("missing_guard", "pos_ticket_removed")]
    migrate.upgrade(app)
    assert migrate.differences(modules["pos"]) == []
    with pytest.raises(FrozenError), transaction() as database:
        database.execute(text("DELETE FROM pos_ticket WHERE document_id = :id"), {"id": rows["ticket"]})


def test_what_is_no_document_of_theirs_stays_free(rows: dict[str, int]) -> None:
    draft = db.session.get_one(Document, rows["draft"])
    with transaction():
        draft.language = "en"
    invoices.cancel(db.session.get_one(Invoice, rows["draft"]))


def test_what_is_final_goes_to_the_customer_that_its_own_is_merged_into_and_to_no_other(
    app: Flask,
    customer: Partner,
    salesperson: User,
    make_invoice: Callable[..., Invoice],
    sell: Callable[..., Ticket],
    session: Session,
) -> None:
    ticket, invoice = sell(partner_id=customer.id), make_invoice()
    kept, stranger = (save_partner(None, {"name": name}) for name in ("Kept", "Stranger"))
    ids = [ticket.document_id, invoice.document_id]
    revisions = [db.session.get_one(Document, number).revision for number in ids]
    with app.test_request_context():
        before = receipt_html(ticket.document, ticket), document_html(invoice.document)

    def move_to(partner: Partner) -> None:
        with transaction() as writing:
            for number in ids:
                values = {"partner": partner.id, "number": number}
                writing.execute(
                    text("UPDATE core_document SET partner_id = :partner WHERE id = :number"), values
                )

    with pytest.raises(FrozenError):
        move_to(kept)
    merge(kept.id, customer.id, salesperson)
    assert [db.session.get_one(Document, number).partner_id for number in ids] == [kept.id] * 2
    assert [db.session.get_one(Document, number).revision for number in ids] == revisions
    with app.test_request_context():
        assert (receipt_html(ticket.document, ticket), document_html(invoice.document)) == before
    for other in (stranger, customer):
        with pytest.raises(FrozenError):
            move_to(other)
    assert session is not None
