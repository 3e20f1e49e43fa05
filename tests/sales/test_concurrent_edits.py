"""Two people who write in one document: both values are told, lines too, and what was not touched stays theirs."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from modules.sales.models import Invoice, Order
from modules.sales.service import orders
from modules.sales.service.lines import lines_of
from modules.sales.states import OrderState
from tests.forms import filled_in, form_of

both = pytest.mark.both_databases


@pytest.fixture
def anna(make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(make_user("administrator", name="Anna"))


@pytest.fixture
def ben(salesperson: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(salesperson)


@pytest.fixture(params=["quotation", "invoice"])
def row(request: pytest.FixtureRequest, make_quotation: Any, make_invoice: Any) -> Order | Invoice:
    return make_quotation() if request.param == "quotation" else make_invoice(posted=False)


def address(row: Order | Invoice) -> str:
    kind = "orders" if isinstance(row, Order) else "invoices"
    return f"/sales/{kind}/{row.document_id}/edit"


def opened(browser: FlaskClient, row: Order | Invoice) -> Any:
    answer = browser.get(address(row))
    assert answer.status_code == 200
    return form_of(answer.text, "partner_id")


def words(page: str) -> str:
    return " ".join(html.unescape(page).split())


def line(form: Any, **changes: str) -> Any:
    return filled_in(form, **{f"line.{name}": value for name, value in changes.items()})


@both
def test_both_values_are_told_and_what_was_not_touched_stays_theirs(
    row: Order | Invoice, anna: FlaskClient, ben: FlaskClient
) -> None:
    hers, his = opened(anna, row), opened(ben, row)
    assert anna.post(address(row), data=line(filled_in(hers, note="Hers"), quantity="7")).status_code == 302
    answer = ben.post(address(row), data=filled_in(his, payment_terms="60 days", note="His"))
    assert answer.status_code == 422
    page = words(answer.text)
    told = page[page.index("Anna has saved this") : page.index("Save mine all the same")]
    assert "2 pce × Lampe · En laiton – 50.00, TVA 20 %" in told
    assert "7 pce × Lampe · En laiton – 50.00, TVA 20 %" in told
    assert "Hers" in told
    assert "His" in told
    assert "Payment terms" not in told, "she has not changed them"
    again = form_of(answer.text, "partner_id")
    assert (again["note"], again["payment_terms"], again["line.quantity"]) == ("His", "60 days", "7")
    assert ben.post(address(row), data=again).status_code == 302
    db.session.refresh(row)
    assert (row.note, row.payment_terms) == ("His", "60 days")
    assert lines_of(row.document_id)[0].quantity == 7


def test_nobody_is_told_anything_when_nothing_differs(
    row: Order | Invoice, anna: FlaskClient, ben: FlaskClient
) -> None:
    his = opened(ben, row)
    assert anna.post(address(row), data=opened(anna, row)).status_code == 302
    assert anna.post(address(row), data=filled_in(opened(anna, row), note="x")).status_code == 302
    assert anna.post(address(row), data=filled_in(opened(anna, row), note="")).status_code == 302
    assert ben.post(address(row), data=filled_in(his, note="His")).status_code == 302


def test_a_script_that_names_a_revision_is_told_all_that_differs(
    row: Order | Invoice, anna: FlaskClient, ben: FlaskClient
) -> None:
    his = opened(ben, row)
    his.poplist("seen")
    anna.post(address(row), data=line(opened(anna, row), quantity="7"))
    answer = ben.post(address(row), data=his)
    assert answer.status_code == 422
    assert "7 pce × Lampe · En laiton – 50.00, TVA 20 %" in words(answer.text)
    again = form_of(answer.text, "partner_id")
    assert ben.post(address(row), data=again).status_code == 302
    assert lines_of(row.document_id)[0].quantity == 2


def test_a_quotation_that_became_an_order_is_not_gone_over(
    make_quotation: Callable[..., Order], anna: FlaskClient, ben: FlaskClient
) -> None:
    row = make_quotation()
    his = opened(ben, row)
    orders.confirm(row)
    answer = ben.post(address(row), data=filled_in(his, note="His"))
    assert answer.status_code == 422
    db.session.expire_all()
    assert row.state is OrderState.ORDER
    assert row.note == ""
    assert db.session.get_one(Document, row.document_id).number in answer.text
