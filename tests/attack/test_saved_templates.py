"""A text that somebody saves as a template changes nothing for others: neither what they send, nor what they see."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import select

from core import clock
from core.db import db
from core.partners.service import save_partner
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.models import MailTemplate
from modules.sales.service.lines import LineValues
from modules.sales.service.orders import QuotationValues, create_quotation

SECRET = "Tresor"


@pytest.fixture
def seller(make_user):
    return make_user("salesperson", name="Sophie")


@pytest.fixture
def browser(seller, sign_in):
    return sign_in(seller)


@pytest.fixture
def quotation(company, seller):
    ours = save_partner(None, {"name": "Ours SA", "email": "ours@ours.example.com", "language": "en"})
    lines = [LineValues("Lamp", Decimal(1), Decimal(10))]
    values = QuotationValues(partner_id=ours.id, date=clock.day_in("UTC"), lines=lines)
    return create_quotation(company, values, seller).document


@pytest.fixture
def saved(browser, quotation):
    """Save the text of the composer as a template, and return it."""

    def save(client=None, **data):
        client = client or browser
        form = {"subject": "Our offer", "body": "<p>Hello</p>", "name": f"{SECRET} text", "save": "1", **data}
        answer = client.post(f"/outbox/compose/{quotation.id}/save-template", data=form)
        row = db.session.scalar(
            select(MailTemplate).where(MailTemplate.name == form["name"]).order_by(MailTemplate.id.desc())
        )
        return answer, row

    return save


def offers(client, document):
    return client.get(f"/outbox/compose/{document.id}").text


def test_a_saved_template_is_its_writer_s_unless_they_share_it(
    browser, saved, quotation, seller, make_user, sign_in
):
    answer, row = saved()
    assert answer.status_code == 200
    assert (row.owner_id, row.company_id) == (seller.id, None)
    assert row.name in offers(browser, quotation)
    colleague = sign_in(make_user("administrator", login="ada@maison.example.com"))
    assert row.name not in offers(colleague, quotation)
    answer = colleague.get(f"/outbox/compose/{quotation.id}?template={row.id}")
    assert "<p>Hello</p>" not in answer.text

    _answer, row = saved(reach="company", name=f"{SECRET} shared")
    assert (row.owner_id, row.company_id) == (seller.id, quotation.company_id)
    assert row.name in offers(colleague, quotation)


def test_only_who_manages_templates_saves_one_for_all_companies(saved, quotation, make_user, sign_in):
    for forged in ("all", "everybody", "company-1", ""):
        answer, row = saved(reach=forged)
        assert answer.status_code == 422, forged
        assert row is None
    admin = sign_in(make_user("administrator"))
    answer, row = saved(admin, reach="all")
    assert answer.status_code == 200
    assert (row.owner_id, row.company_id) == (None, None)


def test_a_saved_template_never_becomes_the_usual_one(saved, quotation, seller):
    usual = templates_for(quotation)[0]
    for reach in ("own", "company"):
        _answer, row = saved(reach=reach, name=f"{SECRET} {reach}")
        assert templates_for(quotation, seller)[0].id == usual.id, reach
        assert row in templates_for(quotation, seller)
        assert row not in templates_for(quotation), "nobody chooses there"
