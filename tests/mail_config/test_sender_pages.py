"""*My mail*, and the administrator's page of senders."""

from __future__ import annotations

import re
from email import message_from_bytes

import pytest

from core.companies.service import save_company
from core.db import db, transaction
from core.mail.draft import Purpose
from core.mail.outcomes import Failure, FailureKind
from core.testing.services import SmtpLab
from modules.mail_config.models import CompanySender, MailServer
from modules.mail_config.senders.service import own_sender, own_server, route_for, save_own_sender
from modules.mail_config.servers import circuit_breaker
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.models import Alert, OutgoingMail
from modules.outbox.states import MailState
from tests.forms import form_of
from tests.outbox.conftest import draft, make_ready, make_server

pytestmark = [pytest.mark.smtp]

ELSEWHERE = "sophie@elsewhere.example.com"


@pytest.fixture
def lab():
    with SmtpLab(security="none", credentials=("sophie", "right")) as lab:
        yield lab


@pytest.fixture
def sophie(make_user):
    return make_user(login="sophie@maison.example.com")


def set_up(browser, lab, password):
    return browser.post(
        "/mail_config/mine/server",
        data={
            "host": lab.host,
            "port": lab.port,
            "encryption": "none",
            "username": "sophie",
            "password": password,
        },
    )


def test_a_user_sets_up_the_own_sender_and_server_tests_it_and_sends(lab, company, sophie, sign_in):
    browser = sign_in(sophie)
    assert "My email" in browser.get("/", follow_redirects=True).text
    page = browser.post("/mail_config/mine", data={"address": ELSEWHERE, "name": "Sophie", "way": "own"})
    assert page.headers["Location"].endswith("/mail_config/mine/server")
    assert set_up(browser, lab, "wrong").status_code == 302
    page = browser.get("/mail_config/mine").text
    assert "untested: sends nothing" in page
    assert "wrong" not in page.replace("wrong password", "")
    page = browser.post("/mail_config/mine/server/test", data={})
    assert "Sign-in refused" in page.text
    assert set_up(browser, lab, "right").status_code == 302
    page = browser.post("/mail_config/mine/server/test", data={})
    assert "The server works. It has accepted a test email to sophie@maison.example.com." in page.text
    mail = service.submit(draft(company, "client@example.com"), sophie)
    deliver([mail.id])
    db.session.expire_all()
    mail = db.session.get_one(OutgoingMail, mail.id)
    assert (mail.state, mail.sender_address, mail.sender_name) == (MailState.SENT, ELSEWHERE, "Sophie")
    assert lab.accepted[-1].envelope_from == ELSEWHERE
    browser.post("/mail_config/mine/server/delete")
    db.session.expire_all()
    assert own_server(sophie) is None
    assert own_sender(sophie).own_server is False


def test_the_page_says_how_mails_leave_and_what_nobody_has_allowed(lab, company, sophie, sign_in, make_user):
    make_ready(make_server(lab, name="House"))
    save_own_sender(sophie, address=ELSEWHERE, name="", own_server=False)
    browser = sign_in(sophie)
    page = browser.get("/mail_config/mine").text
    assert "once an administrator has allowed it" in page
    assert "via Maison Test" in page
    boss = sign_in(make_user("administrator"))
    page = boss.get("/mail_config/senders").text
    assert ELSEWHERE in page
    boss.post(f"/mail_config/senders/users/{sophie.id}/allow", data={"address": ELSEWHERE})
    db.session.expire_all()
    assert route_for(company, sophie).header_from.addr_spec == ELSEWHERE


def test_an_administrator_sees_that_an_own_server_exists_and_neither_its_secret_nor_a_way_to_change_it(
    lab, company, sophie, sign_in, make_user
):
    row = make_server(lab, name="Sophie", owner_id=sophie.id, username="sophie", password="hush-hush")
    boss = sign_in(make_user("administrator"))
    page = boss.get(f"/mail_config/servers/{row.id}").text
    assert "nobody else can change or test it" in page
    assert "hush-hush" not in page
    assert boss.get(f"/mail_config/servers/{row.id}/edit").status_code == 404
    assert boss.post(f"/mail_config/servers/{row.id}/test").status_code == 404
    assert "alone" in boss.get("/mail_config/servers").text


def test_only_its_owner_is_told_of_a_paused_own_server(lab, company, sophie, sign_in, make_user):
    row = make_ready(make_server(lab, name="Sophie", owner_id=sophie.id))
    make_user("administrator")
    for _ in range(3):
        circuit_breaker.note_failure(row.id, Failure(FailureKind.TIMEOUT, True))
    assert [alert.user_id for alert in db.session.query(Alert)] == [sophie.id]
    page = sign_in(sophie).get("/outbox/alerts").text
    assert 'href="/mail_config/mine"' in page


def test_the_matrix_is_changed_cell_by_cell_and_explained(lab, company, sophie, sign_in, make_user):
    server = make_ready(make_server(lab, name="House"))
    boss = sign_in(make_user("administrator"))
    address = f"/mail_config/senders/{company.id}?purpose=batch"
    page = boss.post(address, data={"address": "nobody", "name": "", "reply_to": "", "server_id": 0})
    assert page.status_code == 200
    assert "is not a valid email address" in page.text
    values = {"address": "news@maison.example.com", "name": "News", "reply_to": "", "server_id": server.id}
    assert boss.post(address, data=values).status_code == 302
    assert db.session.get(CompanySender, (company.id, Purpose.BATCH)).server_id == server.id
    page = boss.get("/mail_config/senders").text
    assert "news@maison.example.com" in page
    page = boss.get(f"/mail_config/senders?user={sophie.id}&company={company.id}&purpose=batch").text
    assert "Server “House”: the one that is set for this purpose." in page
    assert "Answers go to" in page
    for wrong in (f"/mail_config/senders/{company.id}?purpose=nothing", "/mail_config/senders/4711"):
        assert boss.get(wrong).status_code == 404
    assert boss.get("/mail_config/senders?user=x&company=99999999999999999999&purpose=x").status_code == 200


def test_whoever_only_sends_sees_no_page_of_senders(company, sophie, sign_in):
    browser = sign_in(sophie)
    assert browser.get("/mail_config/senders").status_code == 403
    assert browser.get(f"/mail_config/senders/{company.id}?purpose=batch").status_code == 403
    assert browser.post(f"/mail_config/senders/users/{sophie.id}/allow").status_code == 403


def test_the_queued_mails_of_somebody_who_has_left_are_explained(lab, company, sophie, sign_in, make_user):
    make_ready(make_server(lab, name="Sophie", owner_id=sophie.id))
    save_own_sender(sophie, address=sophie.login, name="", own_server=True)
    mail = service.submit(draft(company, "client@example.com"), sophie)
    with transaction():
        sophie.active = False
    deliver([mail.id])
    page = sign_in(make_user("administrator")).get(f"/outbox/mails/{mail.id}").text
    assert re.search(r"may no longer sign in, so the own address and server are not used", page)
    assert f"No active mail server may send from {company.email}" in page
    assert lab.accepted == []


def test_another_companys_server_is_not_offered(lab, company, sign_in, make_user):
    other = save_company(None, {"name": "Harbour", "email": "post@harbour.example.com"})
    make_ready(make_server(lab, name="Theirs", company_id=other.id))
    boss = sign_in(make_user("administrator"))
    assert "Theirs" not in boss.get(f"/mail_config/senders/{company.id}").text
    assert db.session.query(MailServer).count() == 1


def test_a_relay_is_tested_from_its_own_address(lab, company, sign_in, make_user):
    relay = make_server(lab, name="Relay", relay=True, own_address="relay@house.example.com")
    page = sign_in(make_user("administrator")).get(f"/mail_config/servers/{relay.id}").text
    assert 'value="relay@house.example.com"' in page
    assert "shared relay" in page


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_user_gives_only_an_address_and_sends_by_the_relay_of_the_house(
    lab, company, sign_in, make_user, language
):
    """What Oxygène calls non-personalised sending, from the administrator's form to the message."""
    boss = sign_in(make_user("administrator"))
    form = form_of(boss.get("/mail_config/servers/new").text, "host")
    relay = {
        **form,
        "name": "Relais",
        "host": lab.host,
        "port": lab.port,
        "encryption": "none",
        "username": "sophie",
        "password": "right",
        "relay": "y",
    }
    refused = boss.post("/mail_config/servers/new", data=relay)
    assert "A relay needs the address that its emails are from." in refused.text
    place = boss.post(
        "/mail_config/servers/new", data={**relay, "own_address": "relay@house.example.com"}
    ).location
    test = form_of(boss.get(place).text, "from_address")
    assert test["from_address"] == "relay@house.example.com"
    assert "It has accepted a test email" in boss.post(f"{place}/test", data=test).text

    sophie = make_user(login="sophie@elsewhere.example.com", name="Sophie", language=language)
    browser = sign_in(sophie)
    browser.post("/mail_config/mine", data={"address": ELSEWHERE, "name": "", "way": "company"})
    page = browser.get("/mail_config/mine").text
    said = {
        "en": "“Relais” is the shared relay: From is its address relay@house.example.com with the name “Sophie”.",
        "fr": "« Relais » est le relais commun : l’expéditeur est son adresse relay@house.example.com",
    }
    assert said[language] in page.replace("\N{NO-BREAK SPACE}", " ")
    mail = service.submit(draft(company, "client@example.com"), sophie)
    deliver([mail.id])
    message = lab.accepted[-1]
    head = message_from_bytes(message.data)
    assert (head["From"], head["Reply-To"]) == ("Sophie <relay@house.example.com>", f"Sophie <{ELSEWHERE}>")
