"""The pages of the till, and what the page behind the counter asks."""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal

import pytest
from sqlalchemy import select

from core.auth.models import User
from core.companies.service import save_company
from core.db import db
from core.documents.models import Document
from core.partners.service import save_partner
from core.products.service import save_product
from core.signals import document_mail_wanted
from modules.mail_config.mail_templates.shipped import install
from modules.outbox.models import OutgoingMail
from modules.pos.models import Session, Ticket
from modules.pos.service.cashiers import set_pin, take_over
from modules.pos.service.registers import close_session, save_settings, ticket_templates
from modules.pos.service.returns import refundable
from modules.pos.service.sale import SalePayment
from modules.pos.states import SessionState
from tests.pos.conftest import line, paid


@pytest.fixture
def browser(cashier, sign_in):
    return sign_in(cashier)


def posted(**changes):
    return {
        "client_id": str(uuid.uuid4()),
        "lines": [
            {
                "description": "Lamp",
                "quantity": "1",
                "unit_price": "12.50",
                "tax_name": "TVA",
                "tax_rate": "20",
            }
        ],
        "payments": [{"kind": "cash", "name": "Cash", "amount": "20.00"}],
        **changes,
    }


def on_a_line(html: str) -> str:
    """The page without the line breaks of its template, between attributes as well."""
    return re.sub(r"\s+>", ">", " ".join(html.split()))


def test_a_till_gets_everything_it_needs_at_once(browser, register, session, lamp, cash, card, cashier):
    save_partner(None, {"name": "Client SA", "email": "client@example.com", "city": "Lyon"})
    set_pin(cashier, "2468")
    data = browser.get(f"/pos/till/{register.id}/data").get_json()
    assert data["products"] == [
        {
            "id": lamp.id, "code": "L1", "barcode": "376000000", "name": "Lamp", "category": "Lamps", "unit": "",
            "price": "12.50", "tax_name": "TVA 20 %", "tax_rate": "20.0000",
        }
    ]  # fmt: skip
    assert [method["name"] for method in data["methods"]] == ["Cash", "Card"]
    assert data["session"]["id"] == session.id
    assert data["customers"][0]["name"] == "Client SA"
    assert data["cashiers"] == [{"id": cashier.id, "name": cashier.name}]
    assert data["currency"] == {"code": "EUR", "places": 2, "symbol": "€"}
    assert b"data-till" in browser.get(f"/pos/till/{register.id}").data


def test_of_very_many_the_till_gets_the_first_and_finds_the_others(browser, register, lamp, monkeypatch):
    for name in ("Zinc bar", "Zither"):
        save_product(
            None, {"name": name, "code": name[:3], "barcode": f"99{name[3]}", "unit_price": Decimal(1)}
        )
    save_product(None, {"name": "Zoo visit", "unit_price": Decimal(1), "over_the_counter": False})
    for name in ("Amélie", "Zoé", "Zola"):
        save_partner(None, {"name": name, "email": f"{name[:3].lower()}@example.com".replace("é", "e")})
    whole = browser.get(f"/pos/till/{register.id}/data").get_json()
    assert (whole["more_products"], whole["more_customers"]) == (False, False)
    monkeypatch.setattr("modules.pos.views.till.MAX_PRODUCTS", 1)
    monkeypatch.setattr("modules.pos.views.till.MAX_CUSTOMERS", 1)
    few = browser.get(f"/pos/till/{register.id}/data").get_json()
    assert (few["more_products"], few["more_customers"]) == (True, True)
    assert [len(few[name]) for name in ("products", "customers")] == [1, 1]

    def find(**asked: object) -> list[str]:
        return [row["name"] for row in browser.post(f"/pos/till/{register.id}/find", json=asked).get_json()]

    assert find(what="products", text="Z") == ["Zinc bar", "Zither"]
    assert find(what="products", text="99c") == ["Zinc bar"]
    assert find(what="customers", text="zo") == ["Zola", "Zoé"]
    assert find(what="customers", text="amelie") == ["Amélie"]
    for nothing in ({}, {"text": "  "}, {"text": 1}, {"what": "customers", "text": "\0"}, {"text": "%"}):
        assert find(**nothing) == []
    # A row that is found has what one that was there from the first has.
    found = browser.post(
        f"/pos/till/{register.id}/find", json={"what": "products", "text": "lamp"}
    ).get_json()
    assert found[0] == next(row for row in whole["products"] if row["name"] == "Lamp")


def test_a_sale_is_posted_once_and_answered_the_same(browser, register, session, cashier):
    sale = posted(session_id=session.id)
    first = browser.post(f"/pos/till/{register.id}/tickets", json=sale).get_json()
    again = browser.post(f"/pos/till/{register.id}/tickets", json=sale).get_json()
    assert first == again
    assert (first["number"], first["total"], first["change"]) == ("C1-000001", "12.5000", "7.5000")
    assert db.session.scalars(select(Ticket)).one().document.owner_id == cashier.id


def test_the_receipt_is_asked_for_with_the_sale(app, browser, register, session):
    install(app)
    answer = browser.post(
        f"/pos/till/{register.id}/tickets", json=posted(address="walk@in.example.com")
    ).get_json()
    assert "state" in answer["mail"]
    assert db.session.scalars(select(OutgoingMail)).one().private
    states = browser.post(f"/pos/till/{register.id}/states", json={"tickets": [answer["id"]]}).get_json()
    assert states["tickets"][0]["mail"] == answer["mail"]
    assert "walk@in" not in json.dumps(states)


def test_whoever_took_over_by_pin_is_the_cashier_and_the_mail_is_mended_at_that_till(
    app, browser, register, session, make_user, cashier, sign_in
):
    install(app)
    other = make_user("cashier", login="other@maison.example.com", name="Other")
    set_pin(other, "2468")
    wrong = browser.post(f"/pos/till/{register.id}/cashier", json={"user_id": other.id, "pin": "9999"})
    assert (wrong.status_code, wrong.get_json()["problem"]) == (422, "This PIN is wrong.")
    taken = browser.post(
        f"/pos/till/{register.id}/cashier", json={"user_id": other.id, "pin": "2468"}
    ).get_json()
    sale = posted(cashier_token=taken["token"], address="walk@in.example.com")
    browser.post(f"/pos/till/{register.id}/tickets", json=sale)
    assert db.session.scalars(select(Document)).one().owner_id == other.id
    mail = db.session.scalars(select(OutgoingMail)).one()
    assert mail.submitted_by is cashier
    assert browser.get(f"/outbox/mails/{mail.id}").status_code == 200
    # Whose ticket it is learns what became of the receipt; to act, and to see the address, is that till's.
    page = sign_in(other).get(f"/outbox/mails/{mail.id}")
    assert page.status_code == 200
    assert "walk@in" not in page.text
    for verb in ("eml", "head"):
        assert sign_in(other).get(f"/outbox/mails/{mail.id}/{verb}").status_code == 404
    assert sign_in(other).post(f"/outbox/mails/{mail.id}/cancel").status_code == 404


@pytest.mark.parametrize(
    "sale",
    [
        None, [], "x", {}, posted(client_id="x"), posted(lines="x"), posted(lines=[1]), posted(payments={}),
        posted(format="a5"), posted(session_id="1"), posted(partner_id=-1), posted(partner_id=True),
        posted(address=["x"]), posted(age_ms="x"), posted(age_ms=float("nan")),
        posted(lines=[{"description": "x", "quantity": 1, "unit_price": "1"}]),
        posted(lines=[{"description": "x", "quantity": "NaN", "unit_price": "1"}]),
        posted(lines=[{"description": "x", "quantity": "1", "unit_price": "1e99"}]),
        posted(lines=[{"description": "x\0", "quantity": "1", "unit_price": "1"}]),
        posted(lines=[{"description": "x" * 201, "quantity": "1", "unit_price": "1"}]),
        posted(payments=[{"kind": "gold", "name": "x", "amount": "1"}]),
    ],
)  # fmt: skip
def test_what_is_no_sale_is_refused_with_a_sentence(browser, register, session, sale):
    answer = browser.post(f"/pos/till/{register.id}/tickets", json=sale)
    assert answer.status_code == 422
    assert len(answer.get_json()["problem"]) > 10
    assert db.session.scalars(select(Document)).all() == []


def test_a_till_of_another_company_is_not_there(browser, register, make_user, sign_in):
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    stranger = sign_in(make_user("cashier", login="s@other.example.com", company_ids=[other.id]))
    for path in (f"/pos/till/{register.id}", f"/pos/till/{register.id}/data"):
        assert stranger.get(path).status_code == 404
    assert stranger.post(f"/pos/till/{register.id}/tickets", json=posted()).status_code == 404
    assert browser.get("/pos/registers").status_code == 200
    assert "Main till" not in stranger.get("/pos/registers").text


def test_a_salesperson_has_no_till(register, make_user, sign_in):
    seller = sign_in(make_user("salesperson"))
    assert seller.get(f"/pos/till/{register.id}").status_code == 403
    assert seller.get("/pos/tickets").status_code == 403


def test_a_register_is_opened_counted_and_closed(browser, register, cashier):
    browser.post(f"/pos/registers/{register.id}/open", data={"opening_cash": "150"})
    row = db.session.scalars(select(Session)).one()
    assert row.opening_cash == 150
    browser.post(f"/pos/till/{register.id}/tickets", json=posted())
    page = browser.get(f"/pos/sessions/{row.id}").text
    assert "C1-000001" in page
    assert "€162.50" in page
    wrong = browser.post(f"/pos/sessions/{row.id}", data={"counted_cash": "much"})
    assert (wrong.status_code, "not a number" in wrong.text) == (422, True)
    browser.post(f"/pos/sessions/{row.id}", data={"counted_cash": "160", "note": "short"})
    db.session.expire_all()
    assert (row.state, row.difference) == (SessionState.CLOSED, Decimal("-2.50"))
    again = browser.post(f"/pos/sessions/{row.id}", data={"counted_cash": "160"})
    assert "closed meanwhile" in again.text
    assert "150" not in browser.get(f"/pos/registers/{register.id}/open").text
    assert 'value="160"' in browser.get(f"/pos/registers/{register.id}/open").text


def test_cash_that_differs_is_explained_before_a_register_is_closed(browser, sell, session):
    sell(line("1"), payments=[paid("12.50")])
    url = f"/pos/sessions/{session.id}"
    asked = browser.post(url, data={"counted_cash": "100"})
    assert asked.status_code == 422
    assert "differs by" in asked.text
    assert session.state is SessionState.OPEN
    assert browser.post(url, data={"counted_cash": "100", "note": "stolen"}).status_code == 302
    db.session.refresh(session)
    assert (session.state, session.difference, session.note) == (
        SessionState.CLOSED, Decimal("-12.50"), "stolen",
    )  # fmt: skip


def test_money_goes_back_the_way_it_came_unless_somebody_chooses(browser, sell, cash, card):
    ticket = sell(payments=[SalePayment(card.kind, card.name, Decimal("12.50"), card.id)])
    url = f"/pos/tickets/{ticket.document_id}/refund"
    assert f'<option value="{card.id}" selected>' in on_a_line(browser.get(url).text)
    typed = {f"line-{ticket.lines[0].id}": "-1", "method": card.id}
    assert "A quantity of 0 or more" in browser.post(url, data=typed).text


def test_the_till_is_told_that_the_register_was_closed_elsewhere(browser, register, session, cashier):
    close_session(session, Decimal(100), cashier)
    data = browser.post(f"/pos/till/{register.id}/states", json={}).get_json()
    assert (data["session"], data["closed_by"]) == (None, cashier.name)
    sold = browser.post(f"/pos/till/{register.id}/tickets", json=posted(session_id=session.id)).get_json()
    assert sold["session_id"] != session.id


def test_a_ticket_is_refunded_on_its_page(browser, sell, register, cash):
    ticket = sell(line("2"), payments=[paid("25")])
    url = f"/pos/tickets/{ticket.document_id}/refund"
    assert "Can be taken back" in browser.get(url).text
    number = ticket.lines[0].id
    form = {"register": register.id, "method": cash.id, "token": str(uuid.uuid4())}
    assert browser.post(url, data={**form, f"line-{number}": "3"}).status_code == 422
    assert "not a number" in browser.post(url, data={**form, f"line-{number}": "x"}).text
    answer = browser.post(url, data={**form, f"line-{number}": "1"})
    assert browser.get(answer.location).status_code == 200
    assert browser.post(url, data={**form, f"line-{number}": "1"}).location == answer.location
    assert "Refund C1-000002" in browser.get(answer.location).text
    assert "C1-000001" in browser.get("/pos/tickets?f=walk-in").text
    assert "C1-000001" not in browser.get("/pos/tickets?f=refunds").text


def test_everything_is_taken_back_and_what_it_comes_to_is_said_before(browser, sell, register, cash):
    ticket = sell(line("2"), line("1", "3.333"), payments=[paid("28.33")])
    first, second = (row.id for row in ticket.lines)
    url = f"/pos/tickets/{ticket.document_id}/refund"
    form = {"register": register.id, "method": cash.id, "token": str(uuid.uuid4())}

    def comes_to(**typed: str) -> str:
        return browser.post(f"{url}/sum", data={name.replace("_", "-"): typed[name] for name in typed}).text

    assert comes_to() == "€0.00"
    assert comes_to(**{f"line_{first}": "1", f"line_{second}": "1"}) == "€15.83"
    assert comes_to(**{f"line_{first}": "x", f"line_{second}": "1"}) == "€3.33"
    assert comes_to(**{f"line_{first}": "3"}) == "–"
    assert comes_to(**{f"line_{first}": "-1"}) == "€0.00"
    browser.post(url, data={**form, f"line-{first}": "1"})
    page = on_a_line(browser.get(f"{url}?everything=1").text)
    assert f'name="line-{first}" value="1"' in page
    assert f'name="line-{second}" value="1"' in page
    assert "€15.83</td>" in page
    # What somebody then types counts, whatever the address says.
    token = {"token": str(uuid.uuid4())}
    browser.post(f"{url}?everything=1", data={**form, **token, f"line-{first}": "1"})
    assert refundable(ticket) == {first: 0, second: 1}


def test_a_ticket_is_found_by_its_cashier_and_its_amount(browser, sell, cashier):
    number = sell(line("2"), payments=[paid("25")]).document.number
    for words in (cashier.name, cashier.name.upper(), "25", "25.00", "-25", number):
        assert number in browser.get("/pos/tickets", query_string={"q": words}).text
    for words in ("2.50", "Nobody", "999"):
        assert number not in browser.get("/pos/tickets", query_string={"q": words}).text


def test_its_pdf_is_called_as_the_register_says(browser, sell, register):
    register.file_pattern = "{register}_{number}"
    db.session.commit()
    answer = browser.get(f"/documents/{sell().document_id}/pdf")
    assert answer.headers["Content-Disposition"] == "inline; filename=C1_000001.pdf"


def test_a_refund_belongs_to_whoever_has_taken_over_the_till(
    browser, sell, register, cash, make_user, cashier
):
    other = make_user("cashier", login="other@maison.example.com", name="Robin")
    third = make_user("cashier", login="third@maison.example.com", name="Sam")
    for user in (other, third):
        set_pin(user, "2468")
    ticket = sell(line("3"), payments=[paid("37.50")])
    url, number = f"/pos/tickets/{ticket.document_id}/refund", ticket.lines[0].id

    def take_back(**typed: object) -> object:
        form = {"register": register.id, "method": cash.id, "token": str(uuid.uuid4()), f"line-{number}": "1"}
        return browser.post(url, data={**form, **typed})

    def owner() -> User:
        return db.session.scalars(select(Document).order_by(Document.id.desc())).first().owner

    browser.post(f"/pos/till/{register.id}/cashier", json={"user_id": other.id, "pin": "2468"})
    page = on_a_line(browser.get(url).text)
    assert f'<option value="{other.id}" selected>Robin</option>' in page
    assert f'<option value="{third.id}">Sam (by PIN)</option>' in page
    assert take_back(cashier=other.id).status_code == 302
    assert owner() is other
    # Anybody else proves it; a wrong PIN costs nothing that was typed.
    wrong = take_back(cashier=third.id, pin="1357")
    assert wrong.status_code == 422
    assert "This PIN is wrong." in wrong.text
    assert f'name="line-{number}" value="1"' in on_a_line(wrong.text)
    assert take_back(cashier=987654).status_code == 422
    assert take_back(cashier=third.id, pin="2468").status_code == 302
    assert owner() is third
    # The till goes back to the person who is signed in, by a PIN as well; until then nothing is in their name.
    assert take_back(cashier=cashier.id).status_code == 422
    set_pin(cashier, "8642")
    assert take_back(cashier=cashier.id, pin="1357").status_code == 422
    browser.post(f"/pos/till/{register.id}/cashier", json={"user_id": cashier.id, "pin": "8642"})
    assert f'<option value="{cashier.id}" selected>' in browser.get(url).text
    assert take_back(cashier=cashier.id).status_code == 302
    assert owner() is cashier


def test_a_shift_ends_with_the_sign_in_it_began_under(browser, sell, register, make_user, cashier):
    other = make_user("cashier", login="other@maison.example.com", name="Robin")
    set_pin(other, "2468")
    url = f"/pos/tickets/{sell().document_id}/refund"
    browser.post(f"/pos/till/{register.id}/cashier", json={"user_id": other.id, "pin": "2468"})
    browser.post("/sign-out")
    third = make_user("cashier", login="third@maison.example.com", name="Sam")
    browser.post("/sign-in", data={"login": third.login, "password": "correct horse battery"})
    assert f'<option value="{third.id}" selected>Sam</option>' in on_a_line(browser.get(url).text)


def test_other_paper_is_chosen_on_the_page(browser, sell):
    ticket = sell()
    answer = browser.post(f"/pos/tickets/{ticket.document_id}/format", data={"format": "a4"})
    assert browser.get(answer.location).data.startswith(b"%PDF")
    assert browser.post(f"/pos/tickets/{ticket.document_id}/format", data={"format": "a5"}).status_code == 400


def test_a_pin_asks_for_the_password(browser, cashier, register):
    assert "not your password" in browser.post("/pos/pin", data={"password": "x", "pin": "2468"}).text
    answer = browser.post("/pos/pin", data={"password": "correct horse battery", "pin": "2468"})
    assert answer.status_code == 302
    assert take_over(register, cashier.id, "2468")[0] is cashier


def test_an_administrator_sets_it_up(app, make_user, sign_in, company, cashier):
    install(app)
    admin = sign_in(make_user("administrator"))
    form = {"code": "T1", "name": "Counter", "company_id": company.id, "receipt_format": "roll58",
            "file_pattern": "{number}.pdf", "active": "y"}  # fmt: skip
    assert admin.post("/pos/registers/new", data=form).status_code == 302
    assert "Another till" in admin.post("/pos/registers/new", data=form).text
    assert (
        "may use" in admin.post("/pos/registers/new", data={**form, "code": "T2", "file_pattern": "{x}"}).text
    )
    assert (
        admin.post(
            "/pos/methods/new",
            data={"name": "Cash", "kind": "cash", "company_id": "", "position": "1", "active": "y"},
        ).status_code
        == 302
    )
    assert "Cash" in admin.get("/pos/methods").text
    values = {"template_id": "", "receipt_format": "roll80", "fixed_addresses": "nonsense", "footer": "Bye"}
    assert "nonsense" in admin.post("/pos/settings", data=values).text
    template = ticket_templates(company.id)[0][0]
    values |= {"fixed_addresses": "a@example.com", "template_id": str(template), "receipt_format": "a4"}
    assert admin.post("/pos/settings", data=values).status_code == 302
    page = admin.get("/pos/settings").text
    assert "a@example.com" in page
    assert f'<option selected value="{template}">' in page
    assert '<option selected value="a4">' in page
    assert "Not a valid choice" in admin.post("/pos/settings", data={**values, "template_id": "987654"}).text
    plain = admin.post("/pos/registers/new", data={**form, "code": "T2", "receipt_format": ""})
    assert plain.status_code == 302
    assert "A4" in admin.get("/pos/registers").text


def test_support_reads_tickets_and_resends_without_selling(sell, make_user, sign_in, register):
    ticket = sell()
    support = sign_in(make_user("support"))
    assert support.get(f"/pos/tickets/{ticket.document_id}").status_code == 200
    assert support.get(f"/pos/till/{register.id}").status_code == 403


def test_the_script_for_the_time_without_server_may_act_on_tills_only(client_without_session):
    answer = client_without_session.get("/pos/till/worker.js")
    assert answer.mimetype == "text/javascript"
    assert answer.headers["Service-Worker-Allowed"] == "/pos/till/"


@pytest.fixture
def client_without_session(app):
    return app.test_client()


@pytest.mark.parametrize("address", ["jeanne@gmail.com'", "x@exa_mple.fr", "no address", "a" * 300])
def test_a_sale_is_not_lost_for_an_address_that_is_none(browser, register, session, address):
    answer = browser.post(f"/pos/till/{register.id}/tickets", json=posted(address=address))
    assert answer.status_code == 200
    assert "no email address" in answer.get_json()["problem"]
    assert "no email address" in browser.get(answer.get_json()["url"]).text


def test_a_fault_in_the_mail_costs_no_sale(browser, register, session):
    def broken(_document: object, **_keywords: object) -> None:
        raise RuntimeError("broken")

    with document_mail_wanted.connected_to(broken):
        answer = browser.post(f"/pos/till/{register.id}/tickets", json=posted(address="a@example.com"))
    assert answer.get_json()["number"] == "C1-000001"
    assert "could not be written" in answer.get_json()["problem"]


def test_what_was_sold_by_another_who_was_signed_in_is_theirs(
    browser, register, session, make_user, cashier, sign_in
):
    other = make_user("cashier", login="other@maison.example.com", name="Other")
    kept = sign_in(other).get(f"/pos/till/{register.id}/data").get_json()["user"]["token"]
    answer = browser.post(f"/pos/till/{register.id}/tickets", json=posted(seller_token=kept)).get_json()
    assert answer["cashier"] == "Other"


def test_the_till_knows_where_receipts_of_a_customer_go(browser, register, session, company):
    save_settings(
        company.id, {"to_customer": False, "to_main_contact": True, "fixed_addresses": "b@example.com"}
    )
    row = save_partner(None, {"name": "Client SA", "email": "client@example.com", "consent": "none"})
    save_partner(None, {"name": "Maya", "email": "maya@example.com", "parent_id": row.id, "is_main": True})
    (customer,) = browser.get(f"/pos/till/{register.id}/data").get_json()["customers"]
    assert (customer["usual"], customer["opted_out"]) == (["maya@example.com", "b@example.com"], True)


@pytest.mark.parametrize("several", [True, False])
def test_who_works_for_several_companies_sees_whose_a_receipt_is(several, company, sell, make_user, sign_in):
    other = save_company(None, {"name": "Other", "email": "x@other.example.com"})
    ids = [company.id, other.id] if several else [company.id]
    reader = sign_in(make_user("administrator", login="a@example.com", company_ids=ids))
    page = reader.get(f"/pos/tickets/{sell().document_id}").text
    assert (f"<dt>Company</dt><dd>{company.name}</dd>" in page) is several
