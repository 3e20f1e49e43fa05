"""A document of a module by others, changed while its mail is being written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from core.auth.models import User
from core.companies.models import Company
from core.contract import Module
from core.db import db, transaction
from core.documents.models import Document
from core.partners.service import save_partner
from core.registry import resolve
from modules.outbox.models import OutgoingMail
from tests.conformance.toys import toy, toy_app, toy_enabled  # noqa: F401 (fixtures)
from tests.outbox.pages import opened, questions


@pytest.fixture
def app(toy_app: Flask) -> Flask:  # noqa: F811 (the fixture)
    return toy_app


@pytest.fixture
def voucher(app: Flask, company: Company, seller: User) -> Document:
    partner = save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "en"})
    issue = resolve("envoi_toy.service:issue")
    document: Document = issue(partner, company, amount=Decimal(50), greeting="Two", by=seller).document
    return document


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


def change_a_row(voucher: Document) -> None:
    db.session.get_one(resolve("envoi_toy.models:Voucher"), voucher.id).greeting = "Nine hundred"


def change_in_bulk(_voucher: Document) -> None:
    db.session.execute(update(resolve("envoi_toy.models:Voucher")).values(greeting="Nine hundred"))


@pytest.mark.parametrize("change", [change_a_row, change_in_bulk])
def test_sending_asks_when_its_own_rows_have_changed(
    voucher: Document,
    seller: User,
    sign_in: Callable[[User], FlaskClient],
    change: Callable[[Document], None],
    toy: Module,  # noqa: F811 (the fixture)
) -> None:
    browser = sign_in(seller)
    form = opened(browser, voucher)
    with transaction():
        change(voucher)
    answer = browser.post(f"/outbox/compose/{voucher.id}", data=form)
    assert answer.status_code == 422
    assert f"changed:{voucher.revision}" in questions(answer.text)
    assert db.session.scalars(select(OutgoingMail)).all() == []
