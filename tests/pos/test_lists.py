"""The lists of tickets and sessions: they walk their index, and cost the same for one row and for many."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from sqlalchemy import insert, text

from core import clock
from core.db import db, transaction
from core.documents.models import Document
from modules.pos import queries
from modules.pos.models import Session
from modules.pos.states import SessionState
from tests.statements import statements

MANY = 5_000


def fill(company, register):
    """Insert many closed sessions, each with a ticket."""
    now = clock.now()
    with transaction() as session:
        session.execute(
            insert(Session),
            [
                {
                    "register_id": register.id, "state": SessionState.OPEN if n == 1 else SessionState.CLOSED,
                    "opening_cash": Decimal(0), "closed_at": None if n == 1 else now,
                    "expected_cash": None if n == 1 else Decimal(0), "counted_cash": None if n == 1 else Decimal(0),
                    "opened_at": now - dt.timedelta(hours=n), "note": "", "rescue": False, "currency": "EUR",
                }
                for n in range(1, MANY)
            ],
        )  # fmt: skip
        session.execute(
            insert(Document),
            [
                {
                    "kind": "pos.ticket", "number": f"C1-{n:06d}", "company_id": company.id, "language": "fr",
                    "date": now.date() - dt.timedelta(days=n % 200), "currency": "EUR", "total": Decimal(n),
                }
                for n in range(MANY)
            ],
        )  # fmt: skip
        session.execute(
            text(
                "INSERT INTO pos_ticket (document_id, register_id, session_id, sequence, client_id, rung_at, posted_at,"
                " receipt_format, change, issuer, footer, mail_problem) SELECT d.id, s.register_id, s.id, d.id, d.id,"
                " s.opened_at, s.opened_at, 'roll80', 0, '', '', '' FROM core_document d JOIN pos_session s"
                " ON s.id = (SELECT min(id) FROM pos_session)"
            )
        )
        session.execute(text("ANALYZE"))


@pytest.mark.parametrize("role", ["cashier", "administrator"])
@pytest.mark.parametrize(
    ("statement_for", "spec", "index"),
    [
        (queries.tickets_for, queries._TICKETS, "ix_core_document_kind_date_id"),
        (queries.sessions_for, queries.SESSIONS, "ix_pos_session_opened_at"),
    ],
)
def test_the_default_list_walks_its_index(company, register, make_user, role, statement_for, spec, index):
    fill(company, register)
    order = [spec.sorts[0].expression.desc(), spec.identity.desc()]
    statement = statement_for(make_user(role)).order_by(*order).limit(41)
    sql = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
    plan = "\n".join(str(row[3]) for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))
    assert index in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    assert "SCAN pos_ticket" not in plan, plan
    assert "SCAN core_document" not in plan, plan


@pytest.mark.parametrize("path", ["/pos/tickets", "/pos/sessions"])
def test_a_list_costs_the_same_number_of_queries_for_one_row_and_for_many(path, sell, sign_in, cashier):
    client = sign_in(cashier)
    client.get(path)
    counts = []
    for _ in range(2):
        sell()
        with statements() as asked:
            response = client.get(path)
        counts.append(len(asked))
        for _ in range(5):
            sell()
    assert response.status_code == 200
    assert counts[0] == counts[1]
