"""Rows that cannot be: the database itself refuses them, since not everybody who writes to it asks a service."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.db import Base, FrozenError, db

pytestmark = pytest.mark.both_databases

NOW = "2026-03-12 10:00:00"
LATER = "2026-03-12 18:00:00"
HEADER = {
    "number": "", "company_id": 1, "partner_id": 1, "owner_id": None, "language": "fr", "date": "2026-03-12",
    "currency": "EUR", "total": 0, "revision": 1, "created_at": NOW, "updated_at": NOW,
}  # fmt: skip
COMPANY = {
    "street": "", "zip_code": "", "city": "", "country": "FR", "email": "", "phone": "", "website": "", "vat": "",
    "legal_line": "", "bank_line": "", "currency": "EUR", "language": "fr", "accent": "#1f5f8b", "active": True,
}  # fmt: skip
LINE = {
    "position": 1, "product_id": None, "description": "Lamp", "quantity": 10000, "unit": "", "unit_price": 10000,
    "discount": 0, "tax_id": None, "tax_name": "", "tax_rate": 200000, "subtotal": 10000,
}  # fmt: skip
ORDER = {"state": "quotation", "payment_terms": "", "note": ""}
INVOICE = {
    "state": "draft", "order_id": None, "reversed_id": None, "superseded": False, "date_chosen": False,
    "due_date": "2026-04-12", "payment_terms": "", "note": "", "customer_name": "Dupont", "customer_address": "",
    "customer_vat": "", "issuer": "{}", "contact_name": "",
}  # fmt: skip
SESSION = {
    "register_id": 1, "state": "open", "opened_at": NOW, "currency": "EUR", "opening_cash": 0, "closed_at": None,
    "expected_cash": None, "counted_cash": None, "note": "", "rescue": False,
}  # fmt: skip
TICKET = {
    "register_id": 1, "session_id": 1, "sequence": 1, "client_id": "x", "rung_at": NOW, "posted_at": NOW,
    "receipt_format": "roll80", "refund_of_id": None, "change": 0, "issuer": "{}", "footer": "", "mail_problem": "",
    "customer_name": "", "cashier_name": "", "timezone": "UTC",
}  # fmt: skip
TICKET_LINE = {
    "position": 1, "product_id": None, "description": "Lamp", "quantity": 10000, "unit_price": 10000, "discount": 0,
    "tax_name": "", "tax_rate": 200000, "total": 10000, "refunds_id": None,
}  # fmt: skip
PARTNER = {
    "name": "Dupont", "type": "customer", "parent_id": None, "email": "", "phone": "", "function": "", "street": "",
    "zip_code": "", "city": "", "country": "FR", "vat": "", "language": "fr", "is_main": False, "active": True,
    "created_at": NOW,
}  # fmt: skip
MAIL = {
    "state": "queued", "message_id": "<1@x>", "subject": "", "body_html": "", "body_text": "", "language": "fr",
    "sender_name": "", "sender_address": "", "reply_to_name": "", "reply_to_address": "", "company_id": 1,
    "document_kind": "", "document_revision": 0, "submitted_at": NOW, "next_attempt_at": NOW, "attempts": 0,
    "in_flight": False, "failure_reason": "", "failure_advice": "", "waits_for_server": False, "recipient_count": 1,
    "accepted_count": 0, "message_sha256": "", "priority": "normal", "delivery_receipt": False,
    "read_receipt": False, "private": False, "is_alert": False,
}  # fmt: skip
RECIPIENT = {
    "mail_id": 1, "position": 0, "field": "to", "addr_spec": "a@x.example", "display_name": "", "reason": "typed",
    "reason_detail": "", "state": "pending", "reply_code": 0, "enhanced_code": "", "diagnostic": "",
    "failure_advice": "",
}  # fmt: skip
TAX = {"name": "TVA", "rate": 200000, "company_id": None, "active": True}
PRODUCT = {
    "code": "", "barcode": "", "name": "Lamp", "category": "", "description": "", "unit_price": 1, "unit": "",
    "tax_id": None, "company_id": None, "over_the_counter": True, "active": True,
}  # fmt: skip

KINDS = {
    1: ("sales.quotation", {"number": "S1"}),
    2: ("sales.order", {"number": "S2"}),
    3: ("sales.invoice", {"number": "INV/1"}),
    4: ("sales.invoice", {}),
    5: ("sales.credit_note", {}),
    6: ("pos.ticket", {"number": "C1-1"}),
    7: ("pos.ticket", {"number": "C1-2"}),
    8: ("pos.ticket", {"number": "C1-3"}),
    9: ("pos.ticket", {"number": "C1-4", "currency": "USD"}),
    10: ("sales.invoice", {"number": "INV/2"}),
    11: ("sales.invoice", {}),
    12: ("sales.order", {"number": "S3"}),
    13: ("sales.credit_note", {"currency": "USD"}),
    14: ("sales.quotation", {"number": "S4"}),
    15: ("pos.ticket", {"number": "D1-1", "company_id": 2}),
}


_ids = itertools.count(500)


def _put(table: str, /, **values: Any) -> None:
    if "id" in Base.metadata.tables[table].columns:
        values.setdefault("id", next(_ids))  # those of the world were given past the sequences of PostgreSQL
    columns = ", ".join(f'"{column}"' for column in values)
    marks = ", ".join(f":{column}" for column in values)
    with db.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), values)  # noqa: S608


def _change(table: str, where: str, /, **values: Any) -> None:
    changes = ", ".join(f"{column} = :{column}" for column in values)
    with db.engine.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET {changes} WHERE {where}"), values)  # noqa: S608


@pytest.fixture
def ledger(app: Flask) -> None:
    """A small world in order: each row of it is taken."""
    _put("core_company", id=1, name="One", **COMPANY)
    _put("core_company", id=2, name="Two", **COMPANY)
    _put("core_partner", id=1, **PARTNER)
    for number, (kind, values) in KINDS.items():
        _put("core_document", id=number, kind=kind, **{**HEADER, **values})
    _put("sales_order", document_id=1, **ORDER)
    _put("sales_order", document_id=2, **{**ORDER, "state": "order"})
    for number in (2, 3, 4):
        _put("sales_line", document_id=number, **LINE)
    _put("sales_invoice", document_id=3, **INVOICE)
    _change("sales_invoice", "document_id = 3", state="posted")
    _put("sales_invoice", document_id=4, **INVOICE)
    _put("pos_register", id=1, company_id=1, code="C1", name="Till", file_pattern="x", active=True)
    _put("pos_register", id=2, company_id=1, code="C2", name="Till", file_pattern="x", active=True)
    _put("pos_session", id=1, **SESSION)
    _put("pos_session", id=2, **{
        **SESSION, "register_id": 2, "state": "closed", "closed_at": LATER, "expected_cash": 0, "counted_cash": 0,
    })  # fmt: skip
    _put("pos_line", id=1, document_id=6, **TICKET_LINE)
    _put("pos_payment", document_id=6, position=1, name="Cash", kind="cash", amount=10000)
    _put("pos_ticket", document_id=6, **TICKET)
    _put("outbox_mail", id=1, **MAIL)
    _put("outbox_recipient", id=1, **RECIPIENT)
    _put("core_sequence", company_id=1, code="a", next_number=5)
    _put("core_tax", id=1, **TAX)
    _put("core_product", id=1, **{**PRODUCT, "barcode": "376", "code": "L1", "company_id": 1})


CLOSED = {"state": "closed", "closed_at": LATER, "expected_cash": 0, "counted_cash": 0}
PAYMENT = {"document_id": 7, "position": 1, "name": "Cash", "kind": "cash", "amount": 10000}
GARBAGE: dict[str, tuple[str, dict[str, Any]]] = {
    "currency of no country": ("core_company", {"name": "X", **COMPANY, "currency": "QQQ"}),
    "currency in words": ("core_company", {"name": "X", **COMPANY, "currency": "eur"}),
    "company without name": ("core_company", {"name": "", **COMPANY}),
    "country in small letters": ("core_company", {"name": "X", **COMPANY, "country": "fr"}),
    "number before the first": ("core_sequence", {"company_id": 1, "code": "b", "next_number": 0}),
    "tax below zero": ("core_tax", {**TAX, "rate": -1}),
    "tax above a hundred": ("core_tax", {**TAX, "rate": 1000001}),
    "tax without name": ("core_tax", {**TAX, "name": ""}),
    "product without name": ("core_product", {**PRODUCT, "name": ""}),
    "second product of a barcode": ("core_product", {**PRODUCT, "company_id": 1, "barcode": "376"}),
    "second product of a code": ("core_product", {**PRODUCT, "company_id": 1, "code": "L1"}),
    "customer without name": ("core_partner", {**PARTNER, "name": ""}),
    "partner of no type": ("core_partner", {**PARTNER, "type": "friend"}),
    "own parent": ("core_partner", {**PARTNER, "id": 99, "parent_id": 99}),
    "main contact of nobody": ("core_partner", {**PARTNER, "is_main": True}),
    "archived main contact": ("core_partner", {**PARTNER, "parent_id": 1, "is_main": True, "active": False}),
    "address without a domain": ("core_partner", {**PARTNER, "email": "dupont"}),
    "partner of a country in words": ("core_partner", {**PARTNER, "country": "F"}),
    "document in no currency": ("core_document", {**HEADER, "kind": "sales.order", "currency": ""}),
    "document of no kind": ("core_document", {**HEADER, "kind": ""}),
    "document in no language": ("core_document", {**HEADER, "kind": "sales.order", "language": ""}),
    "revision zero": ("core_document", {**HEADER, "kind": "sales.order", "revision": 0}),
    "number taken twice": ("core_document", {**HEADER, "kind": "sales.order", "number": "S1"}),
    "follower who is nobody": (
        "core_follower", {"document_id": 1, "reason": "added", "by_mail": True, "added_at": NOW},
    ),
    "follower for no reason": (
        "core_follower", {"document_id": 1, "partner_id": 1, "reason": "x", "by_mail": True, "added_at": NOW},
    ),
    "order in no state": ("sales_order", {"document_id": 14, **ORDER, "state": "shipped"}),
    "order of an invoice": ("sales_order", {"document_id": 11, **ORDER}),
    "two lines at one place": ("sales_line", {"document_id": 4, **LINE}),
    "line before the first": ("sales_line", {"document_id": 4, **LINE, "position": 0}),
    "discount above a hundred": ("sales_line", {"document_id": 4, **LINE, "position": 2, "discount": 1000001}),
    "discount below zero": ("sales_line", {"document_id": 4, **LINE, "position": 2, "discount": -1}),
    "rate above a hundred": ("sales_line", {"document_id": 4, **LINE, "position": 2, "tax_rate": 1000001}),
    "rate below zero": ("sales_line", {"document_id": 4, **LINE, "position": 2, "tax_rate": -1}),
    "line of a posted invoice": ("sales_line", {"document_id": 3, **LINE, "position": 2}),
    "invoice in no state": ("sales_invoice", {"document_id": 11, **INVOICE, "state": "paid"}),
    "invoice of a quotation's header": ("sales_invoice", {"document_id": 14, **INVOICE}),
    "invoice of a quotation": ("sales_invoice", {"document_id": 11, **INVOICE, "order_id": 1}),
    "posted invoice without number": ("sales_invoice", {"document_id": 11, **INVOICE, "state": "posted"}),
    "canceled invoice with a number": ("sales_invoice", {"document_id": 10, **INVOICE, "state": "canceled"}),
    "superseded draft": ("sales_invoice", {"document_id": 11, **INVOICE, "superseded": True}),
    "credit note of itself": ("sales_invoice", {"document_id": 5, **INVOICE, "reversed_id": 5}),
    "credit note of a draft": ("sales_invoice", {"document_id": 5, **INVOICE, "reversed_id": 4}),
    "invoice that reverses": ("sales_invoice", {"document_id": 11, **INVOICE, "reversed_id": 3}),
    "credit note in another currency": ("sales_invoice", {"document_id": 13, **INVOICE, "reversed_id": 3}),
    "register without code": (
        "pos_register", {"company_id": 1, "code": "", "name": "T", "file_pattern": "x", "active": True},
    ),
    "register on no paper": (
        "pos_register",
        {"company_id": 1, "code": "C9", "name": "T", "file_pattern": "x", "active": True, "receipt_format": "a3"},
    ),
    "method of no kind": ("pos_payment_method", {"name": "X", "kind": "barter", "position": 1, "active": True}),
    "method without name": ("pos_payment_method", {"name": "", "kind": "cash", "position": 1, "active": True}),
    "session in no state": ("pos_session", {**SESSION, "register_id": 2, "state": "paused"}),
    "second open session": ("pos_session", SESSION),
    "session in no currency": ("pos_session", {**SESSION, "register_id": 2, "currency": ""}),
    "drawer below zero": ("pos_session", {**SESSION, "register_id": 2, "opening_cash": -1}),
    "count below zero": ("pos_session", {**SESSION, **CLOSED, "counted_cash": -1}),
    "closed and not counted": ("pos_session", {**SESSION, **CLOSED, "counted_cash": None}),
    "closed at no time": ("pos_session", {**SESSION, **CLOSED, "closed_at": None}),
    "counted and not closed": ("pos_session", {**SESSION, "register_id": 2, "counted_cash": 0}),
    "ticket of an order": ("pos_ticket", {"document_id": 12, **TICKET, "sequence": 2, "client_id": "y"}),
    "ticket zero": ("pos_ticket", {"document_id": 7, **TICKET, "sequence": 0, "client_id": "y"}),
    "number of another ticket": ("pos_ticket", {"document_id": 7, **TICKET, "client_id": "y"}),
    "sale posted twice": ("pos_ticket", {"document_id": 7, **TICKET, "sequence": 2}),
    "sale of no till": ("pos_ticket", {"document_id": 7, **TICKET, "sequence": 2, "client_id": ""}),
    "change taken": ("pos_ticket", {"document_id": 7, **TICKET, "sequence": 2, "client_id": "y", "change": -1}),
    "ticket on no paper": (
        "pos_ticket", {"document_id": 7, **TICKET, "sequence": 2, "client_id": "y", "receipt_format": "a3"},
    ),
    "ticket in a closed session": (
        "pos_ticket",
        {"document_id": 7, **TICKET, "sequence": 2, "client_id": "y", "register_id": 2, "session_id": 2},
    ),
    "ticket in the session of another register": (
        "pos_ticket", {"document_id": 7, **TICKET, "sequence": 2, "client_id": "y", "register_id": 2},
    ),
    "ticket in another currency than its drawer": (
        "pos_ticket", {"document_id": 9, **TICKET, "sequence": 2, "client_id": "y"},
    ),
    "ticket of another company than its register": (
        "pos_ticket", {"document_id": 15, **TICKET, "sequence": 2, "client_id": "y"},
    ),
    "refund of itself": (
        "pos_ticket", {"document_id": 7, **TICKET, "sequence": 2, "client_id": "y", "refund_of_id": 7},
    ),
    "two lines of a ticket at one place": ("pos_line", {"id": 9, "document_id": 8, **TICKET_LINE}),
    "line of a ticket before the first": ("pos_line", {"document_id": 7, **TICKET_LINE, "position": 0}),
    "line of nothing": ("pos_line", {"document_id": 7, **TICKET_LINE, "quantity": 0}),
    "line without text": ("pos_line", {"document_id": 7, **TICKET_LINE, "description": ""}),
    "discount at the till above a hundred": ("pos_line", {"document_id": 7, **TICKET_LINE, "discount": 1000001}),
    "discount at the till below zero": ("pos_line", {"document_id": 7, **TICKET_LINE, "discount": -1}),
    "rate at the till above a hundred": ("pos_line", {"document_id": 7, **TICKET_LINE, "tax_rate": 1000001}),
    "rate at the till below zero": ("pos_line", {"document_id": 7, **TICKET_LINE, "tax_rate": -1}),
    "line that takes itself back": (
        "pos_line", {"id": 9, "document_id": 7, **TICKET_LINE, "quantity": -10000, "refunds_id": 9},
    ),
    "goods sold by taking back": ("pos_line", {"document_id": 7, **TICKET_LINE, "refunds_id": 1}),
    "line of an order at the till": ("pos_line", {"document_id": 12, **TICKET_LINE}),
    "line of a ticket that is written": ("pos_line", {"document_id": 6, **TICKET_LINE, "position": 2}),
    "payment before the first": ("pos_payment", {**PAYMENT, "position": 0}),
    "payment of no kind": ("pos_payment", {**PAYMENT, "kind": "barter"}),
    "payment without name": ("pos_payment", {**PAYMENT, "name": ""}),
    "payment of an order": ("pos_payment", {**PAYMENT, "document_id": 12}),
    "mail in no state": ("outbox_mail", {**MAIL, "message_id": "<2@x>", "state": "lost"}),
    "more accepted than recipients": ("outbox_mail", {**MAIL, "message_id": "<2@x>", "accepted_count": 2}),
    "fewer accepted than none": ("outbox_mail", {**MAIL, "message_id": "<2@x>", "accepted_count": -1}),
    "attempts below zero": ("outbox_mail", {**MAIL, "message_id": "<2@x>", "attempts": -1}),
    "mail without Message-ID": ("outbox_mail", {**MAIL, "message_id": ""}),
    "mail of no urgency": ("outbox_mail", {**MAIL, "message_id": "<2@x>", "priority": "asap"}),
    "recipient in no state": ("outbox_recipient", {**RECIPIENT, "state": "read twice"}),
    "recipient in no field": ("outbox_recipient", {**RECIPIENT, "field": "fcc"}),
    "recipient before the first": ("outbox_recipient", {**RECIPIENT, "position": -1}),
    "file of less than nothing": (
        "outbox_attachment",
        {"mail_id": 1, "position": 0, "name": "x", "media_type": "a/b", "size": -1, "sha256": "", "generated": False,
         "content_id": ""},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.usefixtures("ledger")
def test_garbage_is_refused(name: str) -> None:
    table, values = GARBAGE[name]
    if name == "two lines of a ticket at one place":
        _put("pos_line", id=8, document_id=8, **TICKET_LINE)
    with pytest.raises((DBAPIError, FrozenError)) as refused:
        _put(table, **values)
    # Not for a column that this file has forgotten.
    assert not re.search("not.null constraint", str(getattr(refused.value, "orig", "")), re.IGNORECASE)


CHANGES = {
    "order canceled under its invoice": ("sales_order", "document_id = 2", {"state": "canceled"}),
    "invoice posted without a number": ("sales_invoice", "document_id = 4", {"state": "posted"}),
    "discount raised above a hundred": ("sales_line", "document_id = 4", {"discount": 1000001}),
    "more accepted than there are": ("outbox_mail", "id = 1", {"accepted_count": 7}),
    "mail in a state that is none": ("outbox_mail", "id = 1", {"state": "lost"}),
    "recipient in a state that is none": ("outbox_recipient", "id = 1", {"state": "lost"}),
    "numbers given again": ("core_sequence", "code = 'a'", {"next_number": 4}),
    "revision put back": ("core_document", "id = 2", {"revision": 0}),
    "company in a currency that is none": ("core_company", "id = 1", {"currency": "QQQ"}),
    "open session counted": ("pos_session", "id = 1", {"counted_cash": 0}),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.usefixtures("ledger")
def test_no_row_becomes_garbage(name: str) -> None:
    table, where, values = CHANGES[name]
    if name == "order canceled under its invoice":
        _change("sales_invoice", "document_id = 4", order_id=2)
    with pytest.raises((DBAPIError, FrozenError)):
        _change(table, where, **values)


@pytest.mark.usefixtures("ledger")
def test_what_is_in_order_is_taken() -> None:
    """Or the tests above would pass for another reason."""
    _put("core_company", name="X", **COMPANY)
    _put("core_partner", **{**PARTNER, "parent_id": 1, "is_main": True, "email": "a@x.example"})
    _put("core_product", **{**PRODUCT, "barcode": "377", "company_id": 1})
    _put("core_tax", **{**TAX, "rate": 1000000})
    _put("core_follower", document_id=1, partner_id=1, reason="added", by_mail=True, added_at=NOW)
    _put("sales_order", document_id=14, **ORDER)
    _put("sales_line", document_id=4, **{**LINE, "position": 2, "quantity": -10000, "discount": 1000000})
    _put("sales_invoice", document_id=11, **{**INVOICE, "order_id": 2})
    _put("sales_invoice", document_id=5, **{**INVOICE, "reversed_id": 3})
    _put("pos_session", **{**SESSION, "register_id": 2})
    _put("pos_session", **{**SESSION, **CLOSED})
    _put("pos_line", document_id=7, **{**TICKET_LINE, "quantity": -10000, "refunds_id": 1, "total": -10000})
    _put("pos_payment", **PAYMENT)
    _put("pos_ticket", document_id=7, **{**TICKET, "sequence": 2, "client_id": "y", "refund_of_id": 6})
    _put("outbox_mail", **{**MAIL, "message_id": "<2@x>", "accepted_count": 1})
    _put("outbox_recipient", **{**RECIPIENT, "reply_code": 550})
