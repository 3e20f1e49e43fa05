"""What the composer tells before a mail is sent."""

from __future__ import annotations

import datetime as dt
import io
from html import unescape

import pytest
from sqlalchemy import select, update

from core import clock
from core.auth.models import user_company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import touch
from core.followers.service import follow, followers_of
from core.mail.draft import DraftAttachment
from core.mail.outcomes import FailureKind
from core.partners.models import MailConsent
from core.partners.service import save_partner
from modules.mail_config.models import GRAPH, ServerHealth
from modules.outbox import service
from modules.outbox.compose.actions import make_pdf
from modules.outbox.compose.uploads import Origin, signed
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft
from tests.outbox.mails import become, refused
from tests.outbox.pages import changed, opened, press_send, questions


@pytest.fixture
def browser(seller, sign_in):
    return sign_in(seller)


def check(browser, document: Document, form) -> str:
    response = browser.post(f"/outbox/compose/{document.id}/check", data=form)
    assert response.status_code == 200
    return unescape(response.text)


@pytest.mark.usefixtures("server")
def test_nothing_is_told_where_nothing_is_wrong(browser, quotation):
    assert "finding-" not in check(browser, quotation, opened(browser, quotation))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("changes", "words", "blocks"),
    [
        ({"to": []}, "add a recipient", True),
        ({"subject": ""}, "subject is empty", True),
        ({"to": [], "to_typed": "client@gmial.com"}, "Did you mean client@gmail.com?", False),
        ({"to_typed": "nonsense"}, "“nonsense” is not a valid email address", True),
        ({"subject": "Offer {{ document.number }}"}, "{{ document.number }} stands in the text", False),
        ({"body": "<div>Dear {% if x %}</div>"}, "{% if x %} stands in the text", False),
        ({"body": "<div><br></div>"}, "The email has no text", False),
        ({"language": "en"}, "The text is in English; Client SA reads French", False),
    ],
)
def test_what_stands_there_is_looked_through(browser, quotation, changes, words, blocks):
    page = check(browser, quotation, changed(opened(browser, quotation), **changes))
    assert words in page
    assert bool(questions(page)) is not blocks
    assert ("finding-block" in page) is blocks


@pytest.mark.usefixtures("server")
def test_who_wants_no_mails_is_asked_about_also_when_typed(browser, quotation, customer):
    with transaction():
        customer.consent, customer.consent_at = MailConsent.NONE, clock.now()
    save_partner(None, {"name": "Out", "email": "out@example.com", "consent": "none"})
    page = check(browser, quotation, changed(opened(browser, quotation), cc_typed="out@example.com"))
    assert "Client SA has opted out of emails" in page
    assert "Out has opted out of emails" in page
    assert questions(page) == ["opted_out:client@example.com", "opted_out:out@example.com"]


@pytest.mark.usefixtures("server")
def test_a_customer_without_address_is_asked_about_with_the_way_to_mend_it(browser, quotation, customer):
    with transaction():
        customer.email = ""
    page = check(browser, quotation, changed(opened(browser, quotation), to_typed="x@example.com"))
    assert "Client SA has no valid address and gets nothing" in page
    assert f'href="/partners/{customer.id}"' in page


@pytest.mark.usefixtures("server")
def test_the_same_document_sent_to_the_same_address_minutes_ago(
    browser, quotation, make_user, sign_in, monkeypatch
):
    oliver = sign_in(make_user(login="oliver@maison.example.com", name="Oliver"))
    assert press_send(oliver, quotation, opened(oliver, quotation)).status_code == 302
    earlier = clock.now()
    monkeypatch.setattr(clock, "now", lambda: earlier + dt.timedelta(minutes=3, seconds=5))
    page = check(browser, quotation, opened(browser, quotation))
    assert "Oliver sent this to client@example.com 3 minutes ago." in page
    response = browser.post(f"/outbox/compose/{quotation.id}", data=opened(browser, quotation))
    assert response.status_code == 422, "asked, not sent"
    assert press_send(browser, quotation, opened(browser, quotation)).status_code == 302
    other = changed(opened(browser, quotation), to=["new@example.com"])
    assert "sent this" not in check(browser, quotation, other)
    monkeypatch.setattr(clock, "now", lambda: earlier + dt.timedelta(hours=1))
    assert "sent this" not in check(browser, quotation, opened(browser, quotation))


@pytest.mark.usefixtures("server")
def test_who_may_not_get_it_any_more_gets_nothing_and_that_is_told(
    browser, quotation, seller, make_user, company
):
    gone = make_user(login="gone@maison.example.com", name="Gone")
    away = make_user(login="away@maison.example.com", name="Away")
    friend = save_partner(None, {"name": "Friend", "email": "friend@example.com"})
    for who in ({"user_id": gone.id}, {"user_id": away.id}, {"partner_id": friend.id}):
        follow(quotation.id, by=seller, **who)
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    with transaction():
        gone.active, friend.active = False, False
        db.session.execute(
            update(user_company).where(user_company.c.user_id == away.id).values(company_id=other.id)
        )
    form = opened(browser, quotation)
    assert form.getlist("to") == ["Client SA <client@example.com>"]
    page = check(browser, quotation, form)
    assert "Gone follows by email and gets nothing: the colleague is deactivated" in page
    assert "Friend follows by email and gets nothing: the contact is archived" in page
    assert "Away follows by email and gets nothing: the colleague may not read this document" in page
    assert questions(page) == []


@pytest.mark.usefixtures("server")
def test_who_would_no_longer_be_among_the_recipients_is_asked_about(browser, quotation):
    form = opened(browser, quotation)
    (follower,) = [f for f in followers_of(quotation.id) if f.partner_id]
    with transaction():
        follower.by_mail = False
    page = check(browser, quotation, form)
    assert "Client SA was among the recipients when you began, and would no longer be." in page
    typed = changed(form, proposed=[])
    assert "when you began" not in check(browser, quotation, typed)


@pytest.mark.usefixtures("server")
def test_a_hundred_and_fifty_questions_can_be_answered(browser, quotation):
    for number in range(150):
        values = {"name": f"N{number}", "email": f"n{number}@example.com", "consent": "none"}
        save_partner(None, values)
    form = changed(opened(browser, quotation), to=[f"n{number}@example.com" for number in range(150)])
    assert press_send(browser, quotation, form).status_code == 302


@pytest.mark.usefixtures("server")
def test_a_key_with_a_line_break_is_accepted_as_a_browser_posts_it(browser, quotation):
    form = changed(opened(browser, quotation), subject="{{ a\n b }}")
    (key,) = questions(check(browser, quotation, form))
    assert questions(check(browser, quotation, changed(form, confirmed=[key.replace(" ", "\r\n")]))) == []


@pytest.mark.usefixtures("server")
def test_a_text_of_nothing_but_brackets_is_looked_through(browser, quotation):
    # A third of it took 25 s once: what grew so would not end within pytest's time limit.
    form = changed(opened(browser, quotation), body="<" * 600_000)
    assert questions(check(browser, quotation, form)) == []


@pytest.mark.usefixtures("server")
def test_a_yes_to_one_question_is_no_yes_to_another(browser, quotation):
    form = changed(opened(browser, quotation), subject="{{ a }}", confirmed=["unresolved:subject:{{ b }}"])
    assert questions(check(browser, quotation, form)) == ["unresolved:subject:{{ a }}"]


@pytest.mark.usefixtures("server")
def test_a_document_that_has_changed_is_asked_about_once_for_each_change(browser, quotation):
    form = opened(browser, quotation)
    for _ in range(2):
        with transaction():
            touch(quotation)
        (key,) = questions(check(browser, quotation, form))
        form = changed(form, confirmed=[key])
        assert questions(check(browser, quotation, form)) == []


def test_without_a_server_the_mail_is_said_to_wait(browser, quotation):
    page = check(browser, quotation, opened(browser, quotation))
    assert "No mail server may send from" in page
    assert questions(page) == ["route:server_missing"]
    assert press_send(browser, quotation, opened(browser, quotation)).status_code == 302
    assert len(list(db.session.scalars(select(OutgoingMail)))) == 1


def test_an_untested_and_a_paused_server_are_told_and_who_may_is_led_there(
    browser, quotation, server, make_user, sign_in
):
    with transaction():
        server.tested_fingerprint = ""
    assert "has not passed its test" in check(browser, quotation, opened(browser, quotation))
    with transaction() as session:
        server.tested_fingerprint = server.fingerprint
        known = session.get(ServerHealth, server.id) or ServerHealth(server_id=server.id)
        known.open_since, known.failure_kind = clock.now(), FailureKind.AUTH_FAILED
        session.add(known)
    page = check(browser, quotation, opened(browser, quotation))
    assert "is paused" in page
    assert "/mail/servers/" not in page
    admin = sign_in(make_user("administrator", login="admin@maison.example.com"))
    assert f"servers/{server.id}" in check(admin, quotation, opened(admin, quotation))


def test_a_mail_beyond_the_limit_of_the_server_is_stopped_before_it_is_sent(browser, quotation, server):
    with transaction():
        server.size_limit = 10_000
    response = browser.post("/outbox/compose/file", data={"file": (io.BytesIO(b"x" * 9_000), "big.bin")})
    form = changed(opened(browser, quotation), file=[response.get_json()["token"]])
    page = check(browser, quotation, form)
    assert "finding-block" in page
    assert "the server “Lab” takes 10" in page
    assert browser.post(f"/outbox/compose/{quotation.id}", data=form).status_code == 422
    with transaction():
        server.transport = GRAPH
        server.tested_fingerprint = server.fingerprint
    assert "Without SMTP, Microsoft takes no more. Remove a file, or connect" in check(
        browser, quotation, form
    )


def test_only_who_may_send_may_look_through(quotation, make_user, sign_in):
    stranger = sign_in(make_user("cashier", login="cashier@maison.example.com"))
    for part in ("check", "keep", "chips", "pdf", "eml", "template", "discard", "save-template", "contact"):
        assert stranger.post(f"/outbox/compose/{quotation.id}/{part}").status_code in {403, 404}, part
    assert stranger.get(f"/outbox/compose/{quotation.id}/addresses").status_code in {403, 404}


def test_pictures_of_the_text_count_against_the_limit_of_the_server(browser, quotation, server):
    with transaction():
        server.size_limit = 20_000
    sha256 = file_store().put(bytes(range(256)) * 120)
    token = signed(DraftAttachment("p.png", "image/png", sha256, 30_720, "p@x"), Origin.PICTURE).token
    form = opened(browser, quotation)
    form = changed(form, body=f'<div>See <img src="/outbox/compose/file/{token}"></div>')
    assert "takes 20 kB" in check(browser, quotation, form)


@pytest.mark.usefixtures("server")
def test_who_has_it_from_a_mail_that_waited_is_told_and_who_was_refused_is_not(
    browser, quotation, company, seller
):
    made = draft(company, "client@example.com", document=quotation)
    mail = become(
        service.submit(made, seller),
        submitted_at=clock.now() - dt.timedelta(hours=2),
        not_before=clock.now() - dt.timedelta(minutes=3),
    )
    assert "You sent this to client@example.com 3 minutes ago" in check(
        browser, quotation, opened(browser, quotation)
    )
    become(mail, not_before=clock.now() + dt.timedelta(hours=1), state=MailState.SCHEDULED)
    assert "is scheduled for client@example.com already" in check(
        browser, quotation, opened(browser, quotation)
    )
    refused(mail, state=MailState.PARTIAL, not_before=clock.now())
    assert "sent this to client@example.com" not in check(browser, quotation, opened(browser, quotation))


@pytest.mark.usefixtures("server")
def test_a_field_of_an_older_system_is_asked_about(browser, quotation):
    page = check(browser, quotation, changed(opened(browser, quotation), subject="Invoice NUMFACT"))
    assert "“NUMFACT” looks like a field of an older system" in page


@pytest.mark.usefixtures("server")
def test_a_pdf_that_shows_the_document_as_it_was_is_made_again(browser, quotation):
    shown = make_pdf(quotation, "Offer.pdf", quotation.language)
    form = changed(opened(browser, quotation), pdf=shown.token)
    assert 'id="compose-pdf"' not in check(browser, quotation, form)
    with transaction():
        touch(quotation)
    assert 'id="compose-pdf"' in check(browser, quotation, form)


@pytest.mark.usefixtures("server")
def test_what_is_probably_wrong_in_the_document_is_asked_about(browser, quotation, customer, monkeypatch):
    monkeypatch.setattr("modules.sales.behavior.warnings", lambda _document: ["The tax is doubtful."])
    page = check(browser, quotation, opened(browser, quotation))
    assert "The tax is doubtful." in page
    assert page.count("finding-ask") == 1
