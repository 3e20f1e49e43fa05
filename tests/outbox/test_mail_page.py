"""The page of one mail: what it shows, and that it shows it harmlessly."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale
from sqlalchemy import insert

from core import clock
from core.auth.models import User
from core.db import transaction
from core.mail.draft import DraftAttachment, Priority, RecipientField
from core.mail.outcomes import FailureKind, RecipientState
from modules.mail_config.models import MailServer, ServerHealth
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.mail_page.timeline import story_of, tell
from modules.outbox.mail_page.views import page as mail_views
from modules.outbox.mail_page.waiting_text import waits_for
from modules.outbox.message import build_message, file_store
from modules.outbox.models import ATTEMPTS, MailEvent, OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, make_server, with_file
from tests.outbox.mails import HARMFUL, HOSTILE, accepted, become, recipient_becomes, refused, uncertain

Send = Callable[..., OutgoingMail]


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


@pytest.fixture
def mail(send: Send, seller: User) -> OutgoingMail:
    return send("one@example.com", by=seller)


@pytest.fixture
def administrator(make_user, sign_in) -> FlaskClient:
    return sign_in(make_user("administrator", name="Ada Admin"))


def page(browser: FlaskClient, mail: OutgoingMail, tab: str = "", **arguments: object) -> str:
    response = browser.get(f"/outbox/mails/{mail.id}", query_string={"tab": tab or None, **arguments})
    assert response.status_code == 200
    return response.text


def words(html: str) -> str:
    """Return what a person reads of a page, without its head and without white space in rows."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


# -- the recipients ------------------------------------------------------------------------------------


def test_each_recipient_has_its_own_state_code_and_reply(browser, send, seller):
    mail = refused(
        send("one@example.com", "two@example.com", by=seller), state=MailState.PARTIAL, accepted_count=1
    )
    recipient_becomes(mail, 1, state=RecipientState.ACCEPTED, reply_code=250, diagnostic="250 2.0.0 OK 7F")
    shown = words(page(browser, mail, "recipients"))
    assert "one@example.com" in shown
    assert "refused" in shown
    assert "550 5.1.1" in shown
    assert "no such mailbox" in shown
    assert "accepted" in shown
    assert "250 2.0.0 OK 7F" in shown
    assert "1 of 2 accepted" in shown


def test_only_those_who_have_not_got_it_can_be_resent_to(browser, send, seller):
    mail = refused(
        send("one@example.com", "two@example.com", by=seller), state=MailState.PARTIAL, accepted_count=1
    )
    recipient_becomes(mail, 1, state=RecipientState.ACCEPTED)
    html = page(browser, mail, "recipients")
    assert f'id="address-{mail.recipients[0].id}"' in html
    assert f'id="address-{mail.recipients[1].id}"' not in html


def test_the_form_says_which_address_the_contact_has(browser, send, seller, customer, make_user, sign_in):
    mail = refused(send("client@example.com", by=seller))
    recipient_becomes(mail, partner_id=customer.id)
    assert "Correct it on the contact “Client SA” as well" in words(page(browser, mail, "recipients"))
    with transaction():
        customer.email = "new@example.com"
    shown = words(page(browser, mail, "recipients"))
    assert "The contact “Client SA” has the address new@example.com now." in shown
    assert "Correct it on the contact" not in shown


def test_what_has_failed_can_be_sent_by_hand(browser, quotation, send, seller):
    mail = send("one@example.com", by=seller, document=quotation)
    assert "Send it by hand" not in page(browser, mail)
    shown = page(browser, refused(mail), "reason")
    assert "Send it by hand" in shown
    assert f'href="/documents/{quotation.id}/pdf"' in shown  # none was made for it yet


# -- the message ---------------------------------------------------------------------------------------


def test_files_have_size_type_and_full_hash(browser, company, seller):
    mail = service.submit(with_file(draft(company, "one@example.com"), "plan.txt", b"12345678"), seller)
    html = page(browser, mail, "message")
    assert hashlib.sha256(b"12345678").hexdigest() in html
    assert "8 bytes" in words(html)
    assert "text/plain" in words(html)
    assert f"/outbox/mails/{mail.id}/attachments/{mail.attachments[0].id}" in html


@pytest.mark.smtp
def test_the_header_lines_are_those_of_the_exact_message(browser, server, mail):
    deliver([mail.id])
    shown = browser.get(f"/outbox/mails/{mail.id}/head").text
    assert "Subject: A subject" in shown
    assert "still has the SHA-256" in shown
    become(mail, subject="Another")
    assert "no longer has the SHA-256" in browser.get(f"/outbox/mails/{mail.id}/head").text


def test_before_the_first_attempt_there_is_no_message_yet(browser, mail):
    assert "it does not exist yet" in browser.get(f"/outbox/mails/{mail.id}/head").text
    response = browser.get(f"/outbox/mails/{mail.id}/eml")
    assert response.status_code == 409
    assert "Download .eml" not in page(browser, mail)


@pytest.mark.smtp
def test_the_downloaded_message_is_the_one_that_left(browser, server, mail):
    deliver([mail.id])
    response = browser.get(f"/outbox/mails/{mail.id}/eml")
    assert response.mimetype == "message/rfc822"
    assert hashlib.sha256(response.data).hexdigest() == become(mail).message_sha256
    assert response.data == build_message(mail)


def test_files_of_others_are_downloaded_and_never_opened(browser, company, seller):
    sha256 = file_store().put(b"<script>alert(1)</script>")
    made = draft(company, "one@example.com")
    made.attachments.append(DraftAttachment("page.html", "text/html", sha256, 25))
    mail = service.submit(made, seller)
    response = browser.get(f"/outbox/mails/{mail.id}/attachments/{mail.attachments[0].id}")
    assert response.mimetype == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_text_can_do_nothing(browser, send, seller):
    mail = send("one@example.com", by=seller, body_html="<p onclick='x()'>Hi<script>alert(1)</script></p>")
    become(mail, body_html="<script>alert(1)</script>Hi")  # as if an older version had let it in
    response = browser.get(f"/outbox/mails/{mail.id}/html")
    assert response.headers["Content-Security-Policy"].endswith("sandbox")
    assert 'sandbox=""' in page(browser, mail, "message")


def test_pictures_of_the_text_are_shown_by_their_octets(browser, company, seller):
    data = b"\x89PNG\r\n\x1a\n a picture"
    photo = DraftAttachment("photo.png", "image/png", file_store().put(data), len(data), "p@picture.invalid")
    gone = DraftAttachment("gone.png", "image/png", "0" * 64, 5, "gone@picture.invalid")
    made = draft(company, "one@example.com", body_html='<img src="cid:p@picture.invalid" alt="Our shop">')
    made.body_html += '<img src="cid:gone@picture.invalid"><img src="cid:unknown@picture.invalid">'
    made.attachments += [photo, gone]
    mail = service.submit(made, seller)
    response = browser.get(f"/outbox/mails/{mail.id}/html")
    assert response.headers["Content-Security-Policy"].endswith("sandbox")
    assert "img-src data:" in response.headers["Content-Security-Policy"]
    assert re.findall(r'<img [^>]*src="([^"]*)"', response.text) == [
        f"data:image/png;base64,{base64.b64encode(data).decode()}"
    ]
    shown = words(page(browser, mail, "message"))
    assert "image/png · shown in the text" in shown
    assert "[Our shop]" in shown


def test_pictures_never_make_an_endless_page(browser, company, seller, monkeypatch):
    monkeypatch.setattr(mail_views, "MAX_SHOWN_PICTURES", 25)
    photo = DraftAttachment("photo.png", "image/png", file_store().put(b"x" * 10), 10, "p@picture.invalid")
    made = draft(company, "one@example.com", body_html='<img src="cid:p@picture.invalid">' * 9)
    made.attachments.append(photo)
    mail = service.submit(made, seller)
    assert browser.get(f"/outbox/mails/{mail.id}/html").text.count("<img") == 2


def test_priority_and_receipts_are_told(browser, send, seller):
    mail = send(
        "one@example.com", by=seller, priority=Priority.HIGH, delivery_receipt=True, read_receipt=True
    )
    shown = words(page(browser, mail, "message"))
    assert "Priority High" in shown
    assert "delivery receipt wished for, where the server offers it; read receipt asked for" in shown
    assert "Delivery and read receipts" not in words(
        page(browser, send("two@example.com", by=seller), "message")
    )


def test_a_text_of_one_endless_line_is_cut(browser, send, seller):
    mail = become(send("one@example.com", by=seller), body_text="y" * 1_000_000)
    assert len(page(browser, mail, "message")) < 260_000


def test_who_is_hidden_from_the_others_is_told_apart(browser, send, seller):
    mail = send("one@example.com", "two@example.com", by=seller)
    recipient_becomes(mail, 1, field=RecipientField.BCC)
    assert "two@example.com not in the message" in words(page(browser, mail, "message"))


# -- the reason ----------------------------------------------------------------------------------------


def test_a_failed_mail_opens_with_its_reason(browser, mail):
    shown = words(page(browser, refused(mail)))
    assert "Address unknown" in shown
    assert "Ask the customer for the right address" in shown
    assert "Who must act The sender" in shown
    assert "550 5.1.1 no such mailbox" in shown


def test_the_reason_leads_to_the_address_opened(browser, mail):
    refused(mail)
    recipient = mail.recipients[0].id
    url = f"/outbox/mails/{mail.id}?tab=recipients&amp;open={recipient}#address-{recipient}"
    assert f'href="{url}"' in page(browser, mail)
    assert re.search(rf'id="resend-{recipient}"\s+open', page(browser, mail, "recipients", open=recipient))


def test_the_finer_advice_and_the_other_reading_are_told(browser, mail):
    refused(mail)
    recipient_becomes(mail, failure_advice="mailbox_disabled", failure_also=FailureKind.RECIPIENT_REFUSED)
    shown = words(page(browser, mail))
    assert "This mailbox exists no longer, or is switched off." in shown
    assert "It could also be: Recipient refused." in shown


def test_an_advice_of_a_later_version_is_left_out(browser, mail):
    refused(mail)
    recipient_becomes(mail, failure_advice="advice_from_the_future")
    assert "Address unknown" in words(page(browser, mail))


def test_the_advice_may_say_that_somebody_else_must_act(browser, mail):
    refused(mail, failure_kind=FailureKind.SPAM_SUSPECTED)
    recipient_becomes(mail, failure_kind=FailureKind.RECIPIENT_REFUSED, failure_advice="relay_denied")
    assert "Who must act An administrator" in words(page(browser, mail))


def test_recipients_with_the_same_reason_share_it(browser, send, seller):
    mail = refused(send("one@example.com", "two@example.com", by=seller))
    first = mail.recipients[0]
    recipient_becomes(
        mail,
        1,
        state=first.state,
        failure_kind=first.failure_kind,
        reply_code=550,
        diagnostic=first.diagnostic,
    )
    assert page(browser, mail, "reason").count("Who must act") == 1


def waits(mail: OutgoingMail, server: MailServer | None, kind: FailureKind, **values: object) -> OutgoingMail:
    return become(
        mail,
        state=MailState.DEFERRED,
        failure_kind=kind,
        server_id=server.id if server else None,
        **{"next_attempt_at": clock.now() + dt.timedelta(minutes=5), **values},
    )


@pytest.mark.parametrize(
    ("kind", "advice", "anchor"),
    [
        (FailureKind.AUTH_FAILED, "", "password"),
        (FailureKind.AUTH_FAILED, "auth_required", "username"),
        (FailureKind.HOST_NOT_FOUND, "", "host"),
        (FailureKind.CONNECT_FAILED, "port_closed", "port"),
        (FailureKind.TLS_FAILED, "", "encryption"),
        (FailureKind.TLS_FAILED, "certificate_name", "host"),
        (FailureKind.SENDER_REFUSED, "", "from_filter"),
    ],
)
def test_a_failure_of_the_server_leads_an_administrator_to_the_very_field(
    administrator, lab, mail, kind, advice, anchor
):
    server = make_server(lab)
    waits(mail, server, kind, failure_advice=advice)
    html = page(administrator, mail, "reason")
    assert f'href="/mail_config/servers/{server.id}/edit#{anchor}"' in html
    assert f'id="{anchor}"' in administrator.get(f"/mail_config/servers/{server.id}/edit").text


def test_the_sender_who_may_not_go_there_is_told_whom_to_ask(browser, administrator, lab, mail):
    server = make_server(lab)
    waits(mail, server, FailureKind.AUTH_FAILED)
    html = page(browser, mail, "reason")
    assert "/mail_config/" not in html.partition("<main")[2]
    assert "Ask Ada Admin." in words(html)


def test_a_company_without_address_leads_to_its_field(administrator, mail):
    waits(mail, None, FailureKind.SENDER_MISSING)
    assert f'href="/companies/{mail.company_id}#email"' in page(administrator, mail, "reason")


def test_an_untested_server_leads_to_its_test(administrator, lab, mail):
    server = make_server(lab)
    waits(mail, server, FailureKind.SERVER_UNTESTED)
    assert f'href="/mail_config/servers/{server.id}#test"' in page(administrator, mail, "reason")
    assert 'id="test"' in administrator.get(f"/mail_config/servers/{server.id}").text


def test_a_size_limit_of_our_own_is_offered_beside(administrator, lab, mail):
    server = make_server(lab, size_limit=1_000_000)
    refused(mail, failure_kind=FailureKind.MESSAGE_TOO_LARGE, server_id=server.id)
    recipient_becomes(mail, failure_kind=FailureKind.MESSAGE_TOO_LARGE)
    html = page(administrator, mail, "reason")
    assert f'href="/outbox/compose/again/{mail.id}"' in html
    assert f"/mail_config/servers/{server.id}/edit#size_limit_mb" in html


# A few minutes from now: shortly before midnight that is another day.
SOON = r"(at|on .*? at) (about )?\S+ [ap]m"

# -- what it waits for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_kind_of_waiting_has_a_sentence(app: Flask, lab, mail, language):
    server = make_server(lab)
    with force_locale(language):
        for kind in FailureKind:
            assert waits_for(waits(mail, server, kind), outdated=False)
            assert waits_for(waits(mail, None, kind), outdated=False)
        for state in (MailState.QUEUED, MailState.SENDING, MailState.SCHEDULED):
            assert waits_for(become(mail, state=state), outdated=False)
        for state in (MailState.SENT, MailState.FAILED, MailState.CANCELED, MailState.UNCERTAIN):
            assert waits_for(become(mail, state=state), outdated=False) == ""


def test_a_temporary_failure_says_when_the_next_try_is(browser, lab, mail):
    waits(mail, make_server(lab), FailureKind.RATE_LIMITED, attempts=2)
    assert re.search(rf"Next try {SOON}; it was tried 2 times so far\.", words(page(browser, mail)))


def test_a_try_on_another_day_says_the_day(browser, lab, mail):
    waits(
        mail,
        make_server(lab),
        FailureKind.RATE_LIMITED,
        next_attempt_at=dt.datetime(2031, 5, 6, 10, tzinfo=dt.UTC),
    )
    assert "Next try on 6 May 2031 at 12:00" in words(page(browser, mail))


def test_a_paused_server_is_named_with_the_reason(browser, lab, mail):
    server = make_server(lab)
    with transaction() as session:
        session.add(
            ServerHealth(
                server_id=server.id,
                failures=3,
                failure_kind=FailureKind.AUTH_FAILED,
                open_since=clock.now(),
                next_probe_at=clock.now() + dt.timedelta(minutes=15),
            )
        )
    waits(mail, server, FailureKind.AUTH_FAILED)
    shown = words(page(browser, mail))
    assert re.search(r"It waits for the server “Lab”, paused since \S+ [ap]m \(Sign-in refused\)", shown)
    assert "an administrator has been told" in shown
    assert re.search(rf"Envoi tries the server again {SOON}", shown)


def test_a_limited_rate_says_when_it_leaves(browser, lab, mail):
    waits(mail, make_server(lab, rate_per_minute=60), FailureKind.PACED)
    assert re.search(
        rf"It leaves {SOON}: the server “Lab” takes 60 emails a minute\.",
        words(page(browser, mail)),
    )


def test_the_page_asks_by_the_clock_while_it_waits_and_no_longer(browser, mail):
    assert 'hx-trigger="live, every 10s"' in page(browser, mail)
    assert 'hx-trigger="live"' in page(browser, accepted(mail), "recipients")


def test_asking_again_answers_only_when_something_has_changed(browser, mail):
    version = re.search(r"[?&;]v=([0-9a-f]+)", page(browser, mail)).group(1)
    url = f"/outbox/mails/{mail.id}?v={version}"
    assert browser.get(url, headers={"X-Quiet": "1", "HX-Request": "true"}).status_code == 204
    become(mail, state=MailState.SENDING)
    assert browser.get(url, headers={"X-Quiet": "1", "HX-Request": "true"}).status_code == 200


# -- the timeline --------------------------------------------------------------------------------------


@pytest.mark.smtp
def test_the_timeline_tells_who_did_what(browser, server, send, seller, make_user, sign_in):
    mail = send("refused+one@example.com", by=seller)
    deliver([mail.id])
    service.correct_recipient(become(mail).recipients[0], "right@example.com", by=seller)
    service.resend([mail.id], by=seller)
    deliver([mail.id])
    become(mail)
    titles = [step.title for step in story_of(mail)]
    assert titles == [
        "Send pressed",
        "Taken by a sending process",
        "Failed: nobody has got it",
        "Address corrected",
        "Put on the queue again",
        "Taken by a sending process",
        "Accepted for every recipient",
    ]
    who = [step.who for step in story_of(mail)]
    assert who[0] == who[3] == who[4] == seller.name
    assert all(who)
    shown = words(page(browser, mail, "timeline"))
    assert shown.index("Failed: nobody has got it") < shown.index("Address corrected")
    assert "refused+one@example.com → right@example.com" in shown
    assert "Dialogue with the server" not in shown
    support = sign_in(make_user("support"))
    shown = words(page(support, mail, "timeline"))
    assert shown.count("Dialogue with the server") == 2
    assert "RCPT TO" in shown


def test_attempts_older_than_their_events_are_steps_of_their_own(mail):
    now = clock.now()
    with transaction() as session:
        session.execute(
            insert(ATTEMPTS).values(
                mail_id=mail.id,
                server_name="Old",
                started_at=now - dt.timedelta(days=1),
                ended_at=now - dt.timedelta(days=1),
                outcome=MailState.FAILED,
                summary="",
                transcript="",
            )
        )
    first, *_ = story_of(mail)
    assert (first.title, len(first.attempts)) == ("Failed: nobody has got it", 1)


def test_a_verb_of_a_later_version_is_shown_by_its_name(mail):
    event = MailEvent(
        at=clock.now(), verb="teleport", before=None, after=MailState.QUEUED, actor="x", detail=""
    )
    assert tell([event], [])[0].title == "teleport"


# -- erased --------------------------------------------------------------------------------------------


def test_a_mail_whose_contents_are_gone_keeps_its_line(browser, company, seller):
    mail = service.submit(with_file(draft(company, "one@example.com")), seller)
    refused(mail, contents_erased_at=clock.now(), body_html="", body_text="", sender_address="a@example.com")
    html = page(browser, mail, "message")
    assert "Text and files were erased" in words(html)
    assert mail.attachments[0].sha256 in html
    for gone in ("iframe", "/eml", "/resend", "/send-now", "/compose/again", "/attachments/"):
        assert gone not in html.partition("<main")[0] + html.partition("<main")[2], gone
    assert browser.get(f"/outbox/mails/{mail.id}/eml").status_code == 409
    assert browser.get(f"/outbox/mails/{mail.id}/attachments/{mail.attachments[0].id}").status_code == 409
    assert "erased" in browser.get(f"/outbox/mails/{mail.id}/head").text
    assert 'class="resend-form"' not in page(browser, mail, "recipients")


# -- hostile contents ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", ["recipients", "message", "reason", "timeline"])
def test_hostile_contents_are_shown_harmlessly(make_user, sign_in, send, tab):
    mail = refused(
        send("one@example.com"),
        subject=HOSTILE,
        failure_reason=HOSTILE,
        sender_name=HOSTILE,
        body_text=HOSTILE,
    )
    recipient_becomes(
        mail, display_name=HOSTILE, diagnostic=f"550 {HOSTILE}{'z' * 1_000_000}", reason_detail=HOSTILE
    )
    with transaction() as session:
        session.execute(
            insert(ATTEMPTS).values(
                mail_id=mail.id,
                server_name="Lab",
                started_at=clock.now(),
                ended_at=clock.now(),
                outcome=MailState.FAILED,
                summary=HOSTILE,
                transcript=HOSTILE + "t" * 1_000_000,
            )
        )
        session.add(
            MailEvent(mail_id=mail.id, at=clock.now(), verb="note", after=MailState.FAILED, detail=HOSTILE)
        )
    html = page(sign_in(make_user("support")), mail, tab)
    assert not HARMFUL & set(html)
    assert "<script>alert" not in html
    assert len(html) < 600_000


def test_an_uncertain_mail_says_what_to_do(browser, mail):
    html = page(browser, uncertain(mail))
    assert "ask the recipient" in words(html)
    assert "Mark as sent" in html
    assert "Mark as not received" in html
    # Resending would reach those who may have it already: a person must first say whether it has arrived.
    assert 'class="resend-form"' not in page(browser, mail, "recipients")


def test_a_number_that_no_mail_has_is_not_found(browser):
    for number in ("0", "999999", str(2**31), str(2**70)):
        assert browser.get(f"/outbox/mails/{number}").status_code == 404
