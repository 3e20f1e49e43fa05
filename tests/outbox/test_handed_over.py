"""Documents handed over otherwise: who and when, on the badge, in the history, for a selection, taken back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from modules.outbox import service as mail_service
from modules.outbox.badges import badges_for
from modules.outbox.handed_over.service import Marked, hand_over, take_back
from modules.outbox.models import HandOver, Way
from modules.sales.models import Order
from modules.sales.service import orders
from tests.outbox.conftest import draft
from tests.outbox.mails import become, refused
from tests.outbox.runs.conftest import items, outcomes, partner, prepared, quote
from tests.statements import statements

__all__ = ["partner", "quote"]  # fixtures of runs

Quote = Callable[..., Document]


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


def word(document: Document) -> str:
    db.session.rollback()
    badge = badges_for([document.id]).get(document.id)
    return badge.word if badge is not None else ""


def notes() -> list[HandOver]:
    db.session.rollback()
    return list(db.session.scalars(select(HandOver).order_by(HandOver.id)))


def test_it_is_said_on_the_page_and_taken_back_there(
    browser: FlaskClient, seller: User, quote: Quote
) -> None:
    document = quote()
    page = browser.get(f"/documents/{document.id}", follow_redirects=True).text
    assert f"/outbox/documents/{document.id}/handed-over" in page
    data = {"way": "post", "note": "Registered <b>RR1</b>"}
    browser.post(f"/outbox/documents/{document.id}/handed-over", data=data)
    (row,) = notes()
    assert (row.way, row.by_user_id, row.revision) == (Way.POST, seller.id, document.revision)
    assert word(document) == "by post"
    page = browser.get(f"/outbox/documents/{document.id}/panel").text
    assert "Handed over by post" in page
    assert "Registered &lt;b&gt;RR1&lt;/b&gt;" in page
    assert seller.name in page
    browser.post(f"/outbox/handed-over/{row.id}/take-back")
    (row,) = notes()
    assert row.taken_back_by_id == seller.id
    assert word(document) == ""
    assert "Hand-over taken back" in browser.get(f"/outbox/documents/{document.id}/panel").text


@pytest.mark.both_databases
def test_it_counts_as_sent_for_the_next_run_of_the_same_selection(
    seller: User, quote: Quote, partner: Any
) -> None:
    documents = [quote(partner()) for _ in range(3)]
    ids = [row.id for row in documents]
    assert hand_over(ids[:2], Way.COUNTER, seller) == Marked(done=2)
    assert hand_over(ids, Way.COUNTER, seller) == Marked(done=1, already=2)
    assert take_back(ids[1:2], seller) == 1
    assert take_back(ids[1:2], seller) == 0
    with transaction() as session:
        # It says something else by now: that, nobody has.
        session.get_one(Document, ids[2]).revision += 1
    run = prepared(seller, ids)
    assert outcomes(run) == ["sent_before", "ready", "ready"]
    assert items(run)[0].detail == "at the counter"


@pytest.mark.parametrize(
    ("mails", "expected"),
    [
        ("none", "by post"),
        ("failed before", "by post"),
        ("failed after", "failed"),
        ("canceled after", "by post"),
    ],
)
def test_the_last_word_is_on_the_badge(
    company: Company, seller: User, quotation: Document, mails: str, expected: str
) -> None:
    if mails != "none":
        mail = refused(mail_service.submit(draft(company, "x@example.com", document=quotation), seller))
        if "canceled" in mails:
            become(mail, state="canceled")
        if "after" in mails:
            become(mail, submitted_at=clock.now() + dt.timedelta(hours=1))
    hand_over([quotation.id], Way.POST, seller)
    assert word(quotation) == expected


def test_for_a_selection_every_one_is_told_of(
    browser: FlaskClient, company: Company, seller: User, quote: Quote, make_user: Callable[..., User]
) -> None:
    good, canceled = quote(), quote()
    orders.cancel(db.session.get_one(Order, canceled.id))
    ids = [str(good.id), str(canceled.id)]
    url = "/outbox/handed-over/of/sales.quotations"
    assert url in browser.get("/sales/quotations").text
    said = browser.post(url, data={"id": ids, "way": "portal"}, follow_redirects=True).text
    assert "1 document is marked as handed over." in said
    assert "1 was left alone" in said
    assert "by a portal" in browser.get("/sales/quotations").text
    for wrong in ({"way": "pigeon"}, {}, {"way": "other"}, {"way": "other", "note": "x" * 201}):
        browser.post(url, data={"id": ids, **wrong})
    assert len(notes()) == 1
    browser.post(url, data={"id": ids, "way": "back"})
    assert notes()[0].taken_back_at is not None
    assert "Select at least one line" in browser.post(url, data={"way": "post"}, follow_redirects=True).text


def test_what_is_not_yours_is_not_there(
    sign_in: Any, seller: User, quotation: Document, make_user: Callable[..., User]
) -> None:
    hand_over([quotation.id], Way.POST, seller)
    stranger = make_user("cashier")
    browser = sign_in(stranger)
    assert (
        browser.post(f"/outbox/documents/{quotation.id}/handed-over", data={"way": "post"}).status_code == 404
    )
    assert browser.post(f"/outbox/handed-over/{notes()[0].id}/take-back").status_code == 404
    assert hand_over([quotation.id], Way.COUNTER, stranger) == Marked(left=1)
    assert take_back([quotation.id], stranger) == 0
    with pytest.raises(UserError, match="how it was handed over"):
        hand_over([quotation.id], Way.OTHER, seller, "  ")


def test_badges_of_many_cost_the_same_as_of_one(seller: User, quote: Quote) -> None:
    ids = [quote().id for _ in range(6)]
    hand_over(ids, Way.POST, seller)
    costs = []
    db.session.rollback()
    badges_for(ids)  # who asks is known by then
    for some in (ids[:1], ids):
        with statements() as asked:
            badges_for(some)
        costs.append(len(asked))
    assert costs == [3, 3]
