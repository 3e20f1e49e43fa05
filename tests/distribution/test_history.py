"""The history of distribution: everything that went, in one order, page by page, and only what one may read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text

from core import clock
from core.auth.models import User
from core.auth.service import save_role
from core.contract import Scope
from core.db import db
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_partner
from core.registry import current_registry
from core.selection import Selection
from modules.distribution import dispatches as verbs
from modules.distribution import distributing, history
from modules.distribution.models import Rule, Way
from modules.distribution.permissions import DISTRIBUTE
from modules.distribution.words import OTHERWISE
from modules.outbox import service as outbox
from modules.outbox.compose.draft import draft_for
from modules.outbox.handed_over.service import hand_over, take_back
from modules.outbox.models import Way as HandOverWay
from modules.sales.models import Invoice
from tests.distribution.conftest import states

Post = Callable[..., Document]


@pytest.fixture
def gone(app: Flask, posted: Post, seller: User, archive_dir: Path) -> list[Document]:
    """Four documents: one mailed, one archived, one to be printed, one handed over at the counter."""
    documents = [posted() for _ in range(4)]
    outbox.submit(draft_for(documents[0], None, seller), seller)
    verbs.want([documents[1]], Way.ARCHIVE, seller)
    verbs.go()
    verbs.want([documents[2]], Way.PAPER, seller)
    hand_over([documents[3].id], HandOverWay.COUNTER, seller, "=cmd|' /C calc'!A0")
    return documents


def _ways(app: Flask, user: User, **asked: Any) -> list[str]:
    with app.test_request_context():
        return [str(one.way) for one in history.page(history.Asked(**asked), user)[0]]


@pytest.mark.both_databases
def test_everything_is_there_newest_first_and_narrowed(
    app: Flask, gone: list[Document], seller: User, customer: Partner
) -> None:
    assert _ways(app, seller) == ["counter", "paper", "archive", "mail"]
    assert _ways(app, seller, way=OTHERWISE) == ["counter"]
    assert _ways(app, seller, way=HandOverWay.COUNTER) == ["counter"]
    assert _ways(app, seller, way=HandOverWay.POST) == []
    assert _ways(app, seller, way=Way.MAIL) == ["mail"]
    assert _ways(app, seller, way=Way.PAPER) == ["paper"]
    assert _ways(app, seller, result="done") == ["counter", "archive"]
    assert _ways(app, seller, result="waiting") == ["paper", "mail"]
    assert _ways(app, seller, kind="sales.order") == []
    everything = ["counter", "paper", "archive", "mail"]
    assert _ways(app, seller, kind="sales.invoice", partner_id=customer.id) == everything
    assert _ways(app, seller, partner_id=save_partner(None, {"name": "Other", "language": "en"}).id) == []
    assert _ways(app, seller, since=clock.now()) == []
    assert _ways(app, seller, until=clock.now()) == everything
    take_back([gone[3].id], seller)
    assert _ways(app, seller, result="done") == ["archive"]
    assert _ways(app, seller, result="stopped") == ["counter"]


@pytest.mark.both_databases
def test_pages_follow_each_other_without_a_gap_whatever_the_moments(
    app: Flask, gone: list[Document], seller: User
) -> None:
    # All of one moment: then the source, and within it the id, says which comes first.
    with db.engine.begin() as connection:
        for table in ("distribution_dispatch", "outbox_hand_over"):
            connection.execute(
                text(f"UPDATE {table} SET at = (SELECT max(submitted_at) FROM outbox_mail)")  # noqa: S608
            )
    with app.test_request_context():
        whole = [entry.place for entry in history.page(history.Asked(), seller)[0]]
        one_by_one, after = [], None
        for _ in range(5):
            entries, after = history.page(history.Asked(), seller, after, 1)
            one_by_one += [entry.place for entry in entries]
            if after is None:
                break
            after = history.Place.parse(str(after))
    assert one_by_one == whole
    assert len(set(whole)) == 4


@pytest.mark.parametrize(
    "typed", ["", "x", "~~", "2026-01-01~1~1", "2026-01-01T00:00:00+00:00~7~1", "9" * 500]
)
def test_what_somebody_types_as_a_place_is_none(typed: str) -> None:
    assert history.Place.parse(typed) is None


def test_nobody_sees_what_they_may_not_read(
    app: Flask, gone: list[Document], make_user: Callable[..., User]
) -> None:
    other = make_user("salesperson", "else@example.com", company_ids=[])
    assert _ways(app, other) == []


def test_the_page_and_its_files(
    app: Flask, gone: list[Document], seller: User, sign_in: Callable[[User], FlaskClient]
) -> None:
    client = sign_in(seller)
    page = client.get("/distribution/history").text
    assert all(document.number in page for document in gone)
    assert page.count("Send again") >= 3
    narrowed = client.get("/distribution/history?way=paper&since=2000-01-01&until=nonsense&customer=x").text
    assert gone[2].number in narrowed
    assert gone[0].number not in narrowed
    table = client.post("/distribution/history/table", data={"as": "csv", "way": "mail"}).data.decode()
    assert gone[0].number in table
    assert gone[1].number not in table


def test_what_was_handed_over_is_taken_back_where_it_is_found(
    app: Flask,
    gone: list[Document],
    seller: User,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
) -> None:
    client, there = sign_in(seller), "/distribution/history?way=handed-over"
    page = client.get(there).text
    assert gone[3].number in page
    assert gone[0].number not in page
    assert "Handed over at the counter" in page
    table = client.post("/distribution/history/table", data={"as": "csv", "way": "counter"}).data.decode()
    assert gone[3].number in table
    # What a spreadsheet would calculate is a text.
    assert "'=cmd|" in table
    take = re.search(r'action="(/outbox/handed-over/\d+/take-back)"', page)
    assert take is not None
    # Whoever may read it and not send it may not take it back.
    grants = {
        "sales.document.read": Scope.COMPANY,
        "outbox.mail.read": Scope.COMPANY,
        DISTRIBUTE: Scope.COMPANY,
    }
    save_role(None, code="reader", name="Reader", grants=grants)
    seen = sign_in(make_user("reader")).get(there).text
    assert gone[3].number in seen
    assert "take-back" not in seen
    back = client.post(take[1], headers={"Referer": f"http://localhost{there}"})
    assert back.headers["Location"] == there
    page = client.get(there).text
    assert f"Taken back by {seller.name}" in page
    assert "take-back" not in page
    elsewhere = client.post(take[1], headers={"Referer": "https://elsewhere.example.com/x"})
    assert elsewhere.headers["Location"].startswith("/documents/")


@pytest.mark.on_database("sqlite")
def test_a_page_walks_indexes_and_sorts_nothing(app: Flask, gone: list[Document], seller: User) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if "LIMIT" in statement and (
            "FROM outbox_mail" in statement
            or "FROM distribution_dispatch" in statement
            or "FROM outbox_hand_over" in statement
        ):
            statements.append((statement, parameters))

    with app.test_request_context():
        _entries, after = history.page(history.Asked(), seller, None, 1)
        event.listen(db.engine, "before_cursor_execute", note)
        for asked in (
            history.Asked(),
            history.Asked(kind="sales.invoice", way=Way.MAIL),
            history.Asked(kind="sales.invoice", way=OTHERWISE),
            *(history.Asked(result=result) for result in ("failed", "stopped")),
        ):
            history.page(asked, seller, after, 1)
        event.remove(db.engine, "before_cursor_execute", note)
    assert len(statements) == 11
    for statement, parameters in statements:
        with db.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        words = " / ".join(str(row[3]) for row in plan)
        assert "USE TEMP B-TREE FOR ORDER BY" not in words, words
        assert any(
            name in words for name in ("_at (", "submitted_at", "dispatch_state", "mail_failed", "canceled")
        )
        assert " SCAN outbox_mail /" not in f" {words} /", words


# -- Distribute ---------------------------------------------------------------------------------------------


def test_selected_documents_go_each_by_its_rule(
    app: Flask,
    rule: Callable[..., Rule],
    posted: Post,
    draft_invoice: Callable[..., Invoice],
    seller: User,
    customer: Partner,
    sign_in: Callable[[User], FlaskClient],
) -> None:
    on_paper = save_partner(None, {"name": "Paper Ltd", "email": "p@example.com", "language": "en"})
    rule(partner_id=on_paper.id, on_paper=True)
    rule(partner_id=customer.id, to_main=True, on_paper=True)
    stranger = save_partner(None, {"name": "No rule", "email": "n@example.com", "language": "en"})
    documents = [posted(on_paper), posted(customer), posted(stranger)]
    ids = [one.id for one in documents] + [draft_invoice().document_id]
    selection = Selection(current_registry().lists["sales.invoices"], tuple(ids))
    plan = distributing.plan(selection, seller)
    assert {str(way): {row.id for row in rows} for way, rows in plan.by_way.items()} == {
        "mail": set(ids[1:3]),
        "paper": set(ids[:2]),
        "archive": set(),
    }
    assert [row.id for row, _why in plan.left_out] == ids[3:]
    client = sign_in(seller)
    shown = client.post("/distribution/distribute/sales.invoices", data={"id": ids}).text
    assert "1 does not go" in shown
    assert states() == []
    started = client.post("/distribution/distribute/sales.invoices", data={"id": ids, "start": "1"})
    assert started.headers["Location"].startswith("/outbox/runs/")
    assert states() == [("paper", "due")] * 2
    assert client.post("/distribution/distribute/sales.invoices", data={}).status_code == 302
