"""Two people, or two tabs, with one form: whoever saves second is told, and nothing of either is lost unseen."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select

from core.auth.models import Role, User
from core.auth.service import companies_of, save_role, save_user, set_preferences, sign_in
from core.companies.models import Company
from core.companies.service import save_company
from core.contract import Scope
from core.db import db, end_reading, transaction
from core.mail.outcomes import Failure, FailureKind
from core.partners.labels import LabelKind, save_label
from core.partners.lists.models import ListKind, PartnerList
from core.partners.service import make_main_contact, save_contact, save_partner
from core.products.models import CustomerGroup
from core.products.service import save_payment_terms, save_product, save_tax
from core.products.tax_rules import save_tax_rule
from core.testing.fixtures import PASSWORD
from modules.distribution.service import RuleValues, save_rule
from modules.mail_config.mail_templates.variables import save_variable
from modules.mail_config.models import CompanySender, Encryption, MailServer
from modules.mail_config.servers import circuit_breaker
from modules.mail_config.servers.service import save_server
from modules.outbox.inbound.hooks.service import save_hook
from modules.outbox.inbound.mailboxes import save_mailbox
from modules.pos.service.registers import save_method, save_register, settings_of
from modules.pos.states import PaymentKind
from tests.at_once import at_once
from tests.forms import filled_in, form_of

both = pytest.mark.both_databases


@dataclass(frozen=True)
class Case:
    """A form.

    Attributes:
        make: Writes the row.
        path: The address of its form.
        field: A field that both change; `first` and `second` are what they write.
        other: A field that only the first one changes, to `others`; "" where the form has one field alone.
        stored: Returns what is stored in `field` and `other`.
    """

    make: Callable[[Company], Any]
    path: str
    field: str
    first: str
    second: str
    other: str
    others: Any
    stored: Callable[[Any], tuple[object, object]]
    before: tuple[object, object]


def _list(company: Company) -> PartnerList:
    with transaction() as session:
        row = PartnerList(kind=ListKind.DYNAMIC, name="Customers in France", company_id=company.id, steps=[])
        session.add(row)
    return row


def _reach(row: PartnerList) -> tuple[object, object]:
    db.session.refresh(row)
    return row.name, row.company_id or row.owner_id or "all"


def _server(company: Company | None = None) -> MailServer:
    return save_server(
        None,
        {
            "name": "Relay", "host": "smtp.example.com", "port": 587, "encryption": Encryption.STARTTLS,
            "username": "relay", "priority": 10, "company_id": company.id if company else None,
        },
        "secret",
    )  # fmt: skip


def _columns(*names: str) -> Callable[[Any], tuple[object, object]]:
    def read(row: Any) -> tuple[object, object]:
        db.session.refresh(row)
        one, two = (getattr(row, name) for name in names)
        return one, two

    return read


def _grants(role: Role) -> tuple[object, object]:
    db.session.refresh(role)
    return role.name, {grant.permission: grant.scope for grant in role.grants}.get("core.partner.read")


def _settings(company: Company) -> tuple[object, object]:
    end_reading()
    row = settings_of(company.id)
    return row.footer, row.to_main_contact


def _sender(company: Company) -> tuple[object, object]:
    end_reading()
    row = db.session.scalar(select(CompanySender).where(CompanySender.company_id == company.id))
    return (row.name, row.reply_to) if row is not None else ("", "")


MAILBOX = {
    "name": "Answers",
    "host": "imap.example.com",
    "port": 993,
    "encryption": Encryption.TLS,
    "username": "answers@example.com",
    "folder": "INBOX",
    "mark_seen": False,
    "delete_reports": False,
    "active": True,
}


def _who(user: User) -> tuple[object, object]:
    db.session.refresh(user)
    return user.name, tuple(sorted(role.code for role in user.roles))


CASES = {
    "customer": Case(
        lambda _: save_partner(None, {"name": "Dupont", "city": "Lille"}),
        "/partners/{}/edit", "name", "Dupond", "Dupons", "city", "Lens", _columns("name", "city"), ("Dupont", "Lille"),
    ),
    "contact": Case(
        lambda _: save_contact(save_partner(None, {"name": "Dupont"}), "Anne", "", function="Accounts"),
        "/partners/{}/edit", "name", "Anna", "Annie", "function", "Sales", _columns("name", "function"),
        ("Anne", "Accounts"),
    ),
    "tag": Case(
        lambda _: save_label(None, LabelKind.TAG, {"name": "VIP", "color": "gray"}),
        "/partner-labels/{}", "name", "Very", "Important", "color", "blue", _columns("name", "color"), ("VIP", "gray"),
    ),
    "list of recipients": Case(
        _list, "/partner-lists/{}", "name", "France", "Francophones", "reach", "all", _reach,
        ("Customers in France", 1),
    ),
    "product": Case(
        lambda c: save_product(None, {"name": "Lamp", "unit_price": Decimal("10.4167"), "company_id": c.id}),
        "/products/{}", "name", "Lamp 2", "Lamp 3", "unit_price", "12.50", _columns("name", "unit_price"),
        ("Lamp", Decimal("10.4167")),
    ),
    "tax": Case(
        lambda c: save_tax(None, {"name": "TVA 20 %", "rate": Decimal(20), "company_id": c.id}),
        "/taxes/{}", "name", "TVA", "VAT", "rate", "5.5", _columns("name", "rate"), ("TVA 20 %", Decimal(20)),
    ),
    "tax rule": Case(
        lambda c: save_tax_rule(None, {"name": "Abroad", "customers": CustomerGroup.OUTSIDE, "company_id": c.id}),
        "/tax-rules/{}", "name", "Export", "Exports", "mention", "Article 262 I", _columns("name", "mention"),
        ("Abroad", ""),
    ),
    "payment terms": Case(
        lambda c: save_payment_terms(None, {"name": "30 jours", "company_id": c.id}),
        "/payment-terms/{}", "name", "30 jours net", "30 days", "company_id", "", _columns("name", "company_id"),
        ("30 jours", 1),
    ),
    "company": Case(
        lambda _: save_company(None, {"name": "Nord", "legal_line": "SARL\nCapital 1000"}),
        "/companies/{}", "name", "Nord SA", "Nord SAS", "currency", "GBP", _columns("name", "currency"),
        ("Nord", "EUR"),
    ),
    "user": Case(
        lambda c: save_user(
            None, login="bob@example.com", name="Bob", roles=["salesperson"], company_ids=[c.id], password=PASSWORD
        ),
        "/users/{}", "name", "Bobby", "Robert", "roles", ["support", "cashier"], _who, ("Bob", ("salesperson",)),
    ),
    "role": Case(
        lambda _: save_role(None, code="temp", name="Temp", grants={"core.partner.read": Scope.ALL}),
        "/roles/{}", "name", "Helper", "Help", "core.partner.read", "", _grants, ("Temp", Scope.ALL),
    ),
    "register": Case(
        lambda c: save_register(None, {"company_id": c.id, "code": "C1", "name": "Main till"}),
        "/pos/registers/{}", "name", "Front", "Back", "code", "C2", _columns("name", "code"), ("Main till", "C1"),
    ),
    "payment method": Case(
        lambda c: save_method(None, {"name": "Card", "kind": PaymentKind.CARD, "company_id": c.id}),
        "/pos/methods/{}", "name", "Bank card", "Visa", "position", "30", _columns("name", "position"), ("Card", 10),
    ),
    "till settings": Case(
        lambda c: c,
        "/pos/settings", "footer", "Thank you", "Merci", "to_main_contact", "y", _settings, ("", False),
    ),
    "mail server": Case(
        _server,
        "/mail_config/servers/{}/edit", "name", "Relay 1", "Relay 2", "priority", "3", _columns("name", "priority"),
        ("Relay", 10),
    ),
    "mailbox": Case(
        lambda _: save_mailbox(None, MAILBOX, "secret"),
        "/outbox/mailboxes/{}/edit", "name", "Bounces", "Returns", "mark_seen", "y", _columns("name", "mark_seen"),
        ("Answers", False),
    ),
    "webhook": Case(
        lambda _: save_hook(None, {"name": "Relay", "provider": "brevo", "active": True}, "a token of ours"),
        "/outbox/hooks/{}/edit", "name", "Brevo", "Relay 2", "active", "", _columns("name", "active"), ("Relay", True),
    ),
    "distribution rule": Case(
        lambda c: save_rule(None, RuleValues(c.id, on_paper=True)),
        "/distribution/rules/{}", "archive_name", "{number}", "{number} {customer}", "grace_minutes", "30",
        _columns("archive_name", "grace_minutes"), ("", 15),
    ),
    "variable": Case(
        lambda _: save_variable(
            None, kind="sales.quotation", code="deposit", label="Deposit", formula="document.total * 0.3"
        ),
        "/mail_config/templates/variables/{}", "label", "Down payment", "Advance", "code", "advance",
        _columns("label", "code"), ("Deposit", "deposit"),
    ),
    "sender of a company": Case(
        lambda c: c,
        "/mail_config/senders/{}", "name", "Maison, Paris", "Maison, Lyon", "reply_to", "answers@example.com", _sender,
        ("", ""),
    ),
}  # fmt: skip
AFTER = {"product": Decimal("12.50"), "tax": Decimal("5.5"), "user": ("cashier", "support"), "role": None}
AFTER |= {
    "payment terms": None,
    "payment method": 30,
    "mail server": 3,
    "till settings": True,
    "mailbox": True,
    "webhook": False,
    "distribution rule": 30,
}


@pytest.fixture
def anna(make_user, sign_in) -> FlaskClient:
    return sign_in(make_user("administrator", login="anna@example.com", name="Anna <b>A</b>"))


@pytest.fixture
def ben(make_user, sign_in) -> FlaskClient:
    return sign_in(make_user("administrator", login="ben@example.com", name="Ben"))


@pytest.fixture(params=CASES)
def case(request) -> str:
    return request.param


def opened(browser: FlaskClient, path: str, field: str = "seen") -> Any:
    answer = browser.get(path)
    assert answer.status_code == 200
    return form_of(answer.text, field)


def made(case: Case, company: Company) -> tuple[Any, str]:
    row = case.make(company)
    return row, case.path.format(getattr(row, "id", ""))


def words(page: str) -> str:
    return " ".join(html.unescape(page).split())


# ------------------------------------------------------------------------------------------------- every form


@both
def test_whoever_saves_second_is_told_and_nothing_is_overwritten(app, company, anna, ben, case):
    case, name = CASES[case], case
    row, path = made(case, company)
    hers, his = opened(anna, path, case.field), opened(ben, path, case.field)
    assert (
        anna.post(path, data=filled_in(hers, **{case.field: case.first, case.other: case.others})).status_code
        == 302
    )

    answer = ben.post(path, data=filled_in(his, **{case.field: case.second}))
    after = AFTER.get(name, case.others)
    assert answer.status_code == 409
    assert case.stored(row) == (case.first, after), "hers stays"
    page = words(answer.text)
    assert "Anna <b>A</b> has saved this while you were writing." in page
    assert "Anna &lt;b&gt;" in answer.text
    told = page[page.index("has saved this") : page.index("Save mine all the same")]
    assert case.first in told
    assert case.second in told
    assert f'href="{path}"' in answer.text, "the way to theirs"

    again = form_of(answer.text, case.field)
    assert again[case.field] == case.second, "what he typed is still there"
    # And what he has not touched is hers, not what his page had shown before.
    assert ben.post(path, data=again).status_code == 302
    assert case.stored(row) == (case.second, after)


def test_a_third_one_in_between_is_told_as_well(app, company, anna, ben, case):
    case = CASES[case]
    row, path = made(case, company)
    hers, his = opened(anna, path, case.field), opened(ben, path, case.field)
    anna.post(path, data=filled_in(hers, **{case.field: case.first}))
    again = form_of(ben.post(path, data=filled_in(his, **{case.field: case.second})).text, case.field)
    anna.post(path, data=filled_in(opened(anna, path, case.field), **{case.field: f"{case.first}!"}))
    assert ben.post(path, data=again).status_code == 409
    assert case.stored(row)[0] == f"{case.first}!"


def test_nobody_is_told_anything_when_nobody_else_has_changed_anything(app, company, anna, ben, case):
    case = CASES[case]
    row, path = made(case, company)
    early = opened(ben, path, case.field)
    # Opened and saved as it was, one after the other, and by the same person twice.
    for browser in (anna, ben, ben):
        assert browser.post(path, data=opened(browser, path, case.field)).status_code == 302
    assert case.stored(row) == case.before
    assert ben.post(path, data=filled_in(early, **{case.field: case.second})).status_code == 302
    # Both have written the same.
    late = opened(ben, path, case.field)
    anna.post(path, data=filled_in(opened(anna, path, case.field), **{case.field: case.first}))
    assert ben.post(path, data=filled_in(late, **{case.field: case.first})).status_code == 302


def test_a_post_without_marks_is_saved_as_it_is(app, company, anna, ben, case):
    case = CASES[case]
    row, path = made(case, company)
    script = opened(ben, path, case.field)
    script.poplist("seen")
    anna.post(path, data=filled_in(opened(anna, path, case.field), **{case.field: case.first}))
    assert ben.post(path, data=filled_in(script, **{case.field: case.second})).status_code == 302
    assert case.stored(row)[0] == case.second


@pytest.mark.parametrize("bad", [{}, {"unknown": "1"}])
def test_a_form_that_is_wrong_keeps_what_it_was_opened_with(app, company, anna, ben, bad):
    case = CASES["product"]
    row, path = made(case, company)
    his = opened(ben, path, case.field)
    anna.post(path, data=filled_in(opened(anna, path, case.field), name="Hers"))
    page = ben.post(path, data=filled_in(his, unit_price="much")).text
    assert "This is not a number." in page
    assert ben.post(path, data=filled_in(form_of(page, "name"), unit_price="3", **bad)).status_code == 409
    assert case.stored(row)[0] == "Hers"


@pytest.mark.parametrize(
    "marks",
    [
        *("", "x", "[]", "null", "3", "[" * 100_000, "\ufffd", '{"at":1}', '{"at":"x","marks":{}}'),
        *(
            '{"at":1e999,"marks":{}}',
            '{"at":1,"marks":[]}',
            '{"at":NaN,"marks":{}}',
            '{"at":true,"marks":{}}',
        ),
        '{"at":' + "9" * 400 + ',"marks":{}}',
    ],
)
def test_marks_that_are_none_are_as_good_as_none(app, company, anna, marks):
    case = CASES["customer"]
    row, path = made(case, company)
    form = filled_in(opened(anna, path, "name"), name="Other", seen=marks)
    assert anna.post(path, data=form).status_code == 302
    assert case.stored(row)[0] == "Other"


def test_marks_tell_nothing_of_secrets(app, company, anna):
    _row, path = made(CASES["mail server"], company)
    first = json.loads(opened(anna, path, "name")["seen"])["marks"]
    other = _server()
    second = json.loads(opened(anna, f"/mail_config/servers/{other.id}/edit", "name")["seen"])["marks"]
    assert first["name"] == second["name"]
    assert first["password"] != second["password"], (
        "encrypted apart, so the mark does not compare passwords either"
    )


@pytest.mark.parametrize("mark", ["[]", "{}", "1", '"x"', "true"])
def test_marks_that_were_forged_are_a_change_by_somebody(app, company, anna, mark):
    _row, path = made(CASES["customer"], company)
    marks = f'{{"at":1,"marks":{{"name":{mark}}}}}'
    answer = anna.post(path, data=filled_in(opened(anna, path, "name"), name="Other", seen=marks))
    assert answer.status_code == 409
    assert anna.post(path, data=form_of(answer.text, "name")).status_code == 302


@both
@pytest.mark.parametrize("name", ["customer", "contact", "user", "till settings", "role", "mail server"])
def test_of_two_who_save_at_once_one_is_told(app, company, make_user, sign_in, name):
    case = CASES[name]
    _row, path = made(case, company)
    people = []
    for number in range(4):
        browser = sign_in(make_user("administrator", login=f"a{number}@example.com"))
        people.append((browser, filled_in(opened(browser, path, case.field), **{case.field: f"N{number}"})))
    posts = [(browser, path, form) for browser, form in people]
    assert sorted(posted_at_once(app, *posts)) == [302, 409, 409, 409]


def posted_at_once(app: Flask, *posts: tuple[FlaskClient, str, Any]) -> list[int]:
    """Post several forms at the same moment and return the answers."""
    return at_once(
        app,
        *(lambda post=post: post[0].post(post[1], data=post[2]).status_code for post in posts),
    )


@both
def test_forms_and_buttons_of_the_same_rows_do_not_wait_for_each_other(app, company, anna, ben):
    customer = save_partner(None, {"name": "Dupont"})
    one, two = (save_contact(customer, name, "") for name in ("One", "Two"))
    bob, path = made(CASES["user"], company)
    for number in range(5):
        form = filled_in(opened(anna, f"/partners/{one.id}/edit", "name"), phone=str(number), is_main="y")
        answers = posted_at_once(
            app, (anna, f"/partners/{one.id}/edit", form), (ben, f"/partners/{two.id}/main", {})
        )
        assert set(answers) <= {302, 409}
        form = filled_in(opened(anna, path, "name"), name=f"Bob {number}")
        answers = posted_at_once(
            app, (anna, path, form), (ben, f"{path}/active", {"active": str(number % 2)})
        )
        assert set(answers) <= {302, 409}
    db.session.expire_all()
    assert bob.active is False
    assert one.is_main + two.is_main == 1


# --------------------------------------------------------------------------------------------------- who may what


@both
def test_a_form_that_was_opened_before_makes_nobody_active_again(app, company, anna, ben):
    bob, path = made(CASES["user"], company)
    his = opened(ben, path, "name")
    anna.post(path, data=filled_in(opened(anna, path, "name"), active=None, roles=["support"], companies=[]))
    answer = ben.post(path, data=filled_in(his, timezone="Europe/Lisbon"))
    assert answer.status_code == 409
    page = words(answer.text)
    assert "what was saved, as you have not changed it" in page
    # Also who then presses Save, thinking of the time zone alone, changes the time zone alone.
    assert ben.post(path, data=form_of(answer.text, "name")).status_code == 302
    db.session.refresh(bob)
    assert (bob.active, bob.timezone, [role.code for role in bob.roles]) == (
        False,
        "Europe/Lisbon",
        ["support"],
    )
    assert companies_of(bob) == []


def test_the_button_that_deactivates_tells_who_it_was_and_does_not_turn_back(app, company, anna, ben):
    bob, path = made(CASES["user"], company)
    his, her_button = opened(ben, path, "name"), opened(anna, path, "active")
    his_button = opened(ben, path, "active")
    assert anna.post(f"{path}/active", data=her_button).status_code == 302
    answer = ben.post(path, data=filled_in(his, timezone="Europe/Lisbon"))
    assert "Anna <b>A</b> has saved this while you were writing." in words(answer.text)
    # The page of Ben still says Deactivate: pressed, that is what it does.
    assert ben.post(f"{path}/active", data=his_button).status_code == 302
    db.session.refresh(bob)
    assert bob.active is False
    assert ben.post(f"{path}/active", data=opened(ben, path, "active")).status_code == 302
    db.session.refresh(bob)
    assert bob.active is True


# --------------------------------------------------------------------------------------------- what does not count


def test_what_no_form_shows_does_not_count(app, company, anna, ben):
    bob, path = made(CASES["user"], company)
    other = save_company(None, {"name": "Sud"})
    save_user(
        bob, login=bob.login, name=bob.name, roles=["salesperson"], company_ids=[company.id, other.id],
        language=bob.language, timezone=bob.timezone,
    )  # fmt: skip
    his = opened(ben, path, "name")
    sign_in("bob@example.com", PASSWORD, "")
    set_preferences(bob, company_id=other.id)
    with transaction():
        bob.session_key, bob.signature_html = "x" * 43, "<div>Bob</div>"
    assert ben.post(path, data=filled_in(his, name="Robert")).status_code == 302


def test_the_health_and_the_test_of_a_server_do_not_count(app, company, anna, ben):
    server, path = made(CASES["mail server"], company)
    his = opened(ben, path, "name")
    with transaction():
        server.tested_fingerprint = server.fingerprint
    for _ in range(circuit_breaker.FAILURES_TO_PAUSE):
        circuit_breaker.note_failure(server.id, Failure(FailureKind.CONNECT_FAILED, True, detail="refused"))
    assert ben.post(path, data=filled_in(his, name="Other")).status_code == 302


def test_two_forms_of_one_row_do_not_disturb_each_other(app, company, anna, ben, sign_in):
    bob, path = made(CASES["user"], company)
    his = opened(ben, path, "name")
    own = sign_in(bob)
    assert (
        own.post(
            "/signature", data=filled_in(opened(own, "/signature", "signature"), signature="<div>B</div>")
        ).status_code
        == 302
    )
    assert ben.post(path, data=filled_in(his, name="Robert")).status_code == 302


# ------------------------------------------------------------------------------------------------- what is not shown


def test_a_password_that_somebody_else_has_changed_is_not_replaced_unseen(app, company, anna, ben):
    server, path = made(CASES["mail server"], company)
    his = opened(ben, path, "name")
    forgetting = opened(ben, path, "name")
    plain = opened(ben, path, "name")
    anna.post(path, data=filled_in(opened(anna, path, "name"), password="hers"))
    kept = server.secret
    for form in (filled_in(his, password="his"), filled_in(forgetting, forget="y")):
        answer = ben.post(path, data=form)
        assert answer.status_code == 409
        assert "changed meanwhile" in answer.text
        assert "hers" not in answer.text
        db.session.refresh(server)
        assert server.secret == kept
    assert (
        "Passwords and files have to be given again."
        in ben.post(path, data=filled_in(his, password="his")).text
    )
    # Who leaves the field empty keeps what is there, whoever has written it.
    assert ben.post(path, data=filled_in(plain, name="Other")).status_code == 302
    db.session.refresh(server)
    assert server.secret == kept


def picture(color: str) -> tuple[io.BytesIO, str]:
    out = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(out, "PNG")
    out.seek(0)
    return out, f"{color}.png"


def test_a_logo_that_somebody_else_has_sent_is_not_replaced_unseen(app, company, anna, ben):
    row, path = made(CASES["company"], company)
    anna.post(path, data={**opened(anna, path, "name"), "logo": picture("red")})
    his = opened(ben, path, "name")
    anna.post(path, data={**opened(anna, path, "name"), "logo": picture("blue")})
    db.session.refresh(row)
    blue = row.logo
    answer = ben.post(path, data={**his, "logo": picture("green")})
    assert answer.status_code == 409
    assert "green.png" in answer.text
    assert ben.post(path, data=filled_in(his, remove_logo="y")).status_code == 409
    db.session.refresh(row)
    assert row.logo == blue
    assert ben.post(path, data=filled_in(his, name="Nord 2")).status_code == 302
    db.session.refresh(row)
    assert row.logo == blue


# ------------------------------------------------------------------------------------------------------ beside


def test_a_signature_in_two_windows(app, company, ben):
    here, there = (opened(ben, "/signature", "signature") for _ in range(2))
    ben.post("/signature", data=filled_in(here, signature="<div>One</div>"))
    answer = ben.post("/signature", data=filled_in(there, signature="<div>Two</div>"))
    assert answer.status_code == 422
    assert "You have saved this in another window while this one was open." in words(answer.text)
    assert ben.post("/signature", data=form_of(answer.text, "signature")).status_code == 302


def test_the_main_contact_that_somebody_else_has_chosen_stays(app, company, anna, ben):
    customer = save_partner(None, {"name": "Dupont"})
    one, two = (save_contact(customer, name, "") for name in ("One", "Two"))
    make_main_contact(one)
    his = opened(ben, f"/partners/{one.id}/edit", "name")
    assert anna.post(f"/partners/{two.id}/main").status_code == 302
    answer = ben.post(f"/partners/{one.id}/edit", data=filled_in(his, phone="1"))
    assert answer.status_code == 409
    assert ben.post(f"/partners/{one.id}/edit", data=form_of(answer.text, "name")).status_code == 302
    db.session.expire_all()
    assert (one.is_main, two.is_main, one.phone) == (False, True, "1")


def test_who_has_saved_it_before_is_not_said_to_have_done_it_since(app, company, anna, ben):
    partner, path = made(CASES["customer"], company)
    anna.post(path, data=filled_in(opened(anna, path, "name"), name="Hers"))
    his = opened(ben, path, "name")
    save_partner(partner, {"name": "By a script"})
    page = words(ben.post(path, data=filled_in(his, name="His")).text)
    assert "Somebody has saved this while you were writing." in page
    assert "By a script" in page


def test_a_row_that_is_gone_is_not_found(app, company, anna, ben):
    server, path = made(CASES["mail server"], company)
    his = opened(ben, path, "name")
    anna.post(f"/mail_config/servers/{server.id}/delete")
    assert ben.post(path, data=his).status_code == 404


def test_a_french_page_tells_it_in_french(app, company, anna, make_user, sign_in):
    _row, path = made(CASES["customer"], company)
    benoit = sign_in(make_user("administrator", login="benoit@example.com", language="fr"))
    his = opened(benoit, path, "name")
    anna.post(path, data=filled_in(opened(anna, path, "name"), name="Hers"))
    page = words(benoit.post(path, data=filled_in(his, name="His")).text)
    assert "a enregistré des modifications pendant que vous écriviez" in page


def archive(row: Any) -> None:
    with transaction():
        row.active = False


def test_saving_does_not_take_away_what_is_not_offered_any_more(app, company, anna):
    tax = save_tax(None, {"name": "Old", "rate": Decimal(19), "company_id": company.id})
    product = save_product(
        None, {"name": "Lamp", "unit_price": Decimal(1), "tax_id": tax.id, "company_id": company.id}
    )
    method = save_method(None, {"name": "Card", "kind": PaymentKind.CARD, "company_id": company.id})
    for row in (tax, company):
        archive(row)
    for path in (f"/products/{product.id}", f"/taxes/{tax.id}", f"/pos/methods/{method.id}"):
        assert anna.post(path, data=opened(anna, path, "name")).status_code == 302
    db.session.expire_all()
    assert (product.tax_id, product.company_id) == (tax.id, company.id)
    assert (tax.company_id, method.company_id) == (company.id, company.id)


# Pages with a form about one row that is no form of what is stored in it.
OTHER_FORMS = {
    "core.partner_merge": "shows both before it merges; of two who merge the same, the second is told",
    "core.partner_contact_new": "a new row",
    "mail_config.template": "revisions of its own, told by the same part of a page",
    "mail_config.template_restore": "asks and does; the history keeps what was",
    "mail_config.template_original": "asks and does; the history keeps what was",
    "pos.session_open": "a new session; a second one is refused",
    "pos.ticket_refund": "a new ticket; more than was sold is refused",
    "sales.order_edit": "the revision of the document, told by the same part of a page",
    "sales.invoice_edit": "the revision of the document, told by the same part of a page",
}


def test_every_form_of_a_row_is_tried_here(app: Flask) -> None:
    tried = {case.path.format("<int:{}_id>") for case in CASES.values()}
    known = {rule.split("<")[0] + rule.partition(">")[2] for rule in tried}
    missing = [
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "<int:" in rule.rule
        and {"GET", "POST"} <= set(rule.methods or ())
        and rule.endpoint not in OTHER_FORMS
        and rule.rule.split("<")[0] + rule.rule.partition(">")[2] not in known
    ]
    assert missing == []
