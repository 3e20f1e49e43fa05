"""Addresses that nobody has: told before sending, held where nobody looks, and alive again once a mail gets through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.mail.addresses import Address
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.history import last_changes
from core.partners.models import MailConsent, Partner
from core.partners.service import save_partner
from core.signals import document_mail_wanted
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.outbox import service
from modules.outbox.dead_addresses import complained_among, dead_among
from modules.outbox.delivery.run import deliver
from modules.outbox.inbound.intake import take
from modules.outbox.models import Alert, OutgoingMail
from modules.outbox.states import MailState
from tests.forms import filled_in, form_of
from tests.outbox.coming_back import GIVEN_UP, report
from tests.outbox.conftest import draft
from tests.outbox.mails import accepted, refused
from tests.outbox.pages import changed, opened, press_send
from tests.statements import statements

Send = Callable[..., OutgoingMail]


def bounced(send: Send, address: str, **how: object) -> OutgoingMail:
    mail = accepted(send(address))
    take(report(mail, (address, "failed"), **how))  # type: ignore[arg-type]
    return mail


@pytest.mark.both_databases
def test_what_the_last_mail_has_shown_is_what_an_address_is(send: Send) -> None:
    assert dead_among(["ann@far.example"]) == {}
    bounced(send, "ann@far.example")
    refused(send("bob@far.example"))
    bounced(send, "carla@far.example", said=GIVEN_UP)
    asked = ["ann@far.example", "ANN@far.example", "bob@far.example", "carla@far.example", "dan@far.example"]
    assert set(dead_among(asked)) == {"ann@far.example", "ANN@far.example", "bob@far.example"}
    accepted(send("ann@far.example"))
    assert set(dead_among(asked)) == {"bob@far.example"}


def test_a_private_address_is_not_remembered_from_one_receipt_to_the_next(company: Company) -> None:
    mail = accepted(service.submit(draft(company, "walk.in@far.example", private=True), None))
    take(report(mail, ("walk.in@far.example", "failed")))
    assert mail.recipients[0].state is RecipientState.BOUNCED, "the report was about it all the same"
    assert dead_among(["walk.in@far.example"]) == {}


@pytest.mark.smtp
def test_what_nobody_looks_at_is_held_and_one_click_sends_it(
    send: Send, quotation: Document, seller: User, server: MailServer, lab: SmtpLab
) -> None:
    bounced(send, "ann@far.example")
    addresses = (Address("ann@far.example"),)
    ((_, mail_id),) = [
        answer
        for answer in document_mail_wanted.send(
            quotation, addresses=addresses, by=seller, private=False, keep_days=None
        )
        if answer[1] is not None
    ]
    db.session.commit()
    mail = db.session.get_one(OutgoingMail, mail_id)
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.ADDRESS_HELD)
    assert db.session.scalars(select(Alert.user_id).where(Alert.mail_id == mail_id)).all() == [seller.id]
    deliver([mail_id])
    assert lab.accepted == []
    for file in mail.attachments:
        db.session.delete(file)
    db.session.commit()
    assert service.resend([mail_id], by=seller) == [mail_id]
    deliver([mail_id])
    db.session.expire_all()
    assert (mail.state, len(lab.accepted)) == (MailState.SENT, 1)
    assert dead_among(["ann@far.example"]) == {}


def test_only_the_dead_one_of_several_is_held(send: Send, company: Company) -> None:
    bounced(send, "ann@far.example")
    mail = service.submit(draft(company, "ann@far.example", "bob@far.example"), None, hold_dead=True)
    assert mail.state is MailState.QUEUED
    assert [row.state for row in mail.recipients] == [RecipientState.REFUSED, RecipientState.PENDING]


@pytest.mark.parametrize(
    ("language", "back", "words"),
    [
        ("en", True, "An email to ann@far.example came back on"),
        ("fr", True, "Un e‑mail à ann@far.example est revenu le"),
        ("en", False, "ann@far.example was refused on"),
        ("fr", False, "ann@far.example a été refusée le"),
    ],
)
def test_the_composer_asks_and_the_customer_shows_it(
    send: Send,
    quotation: Document,
    customer: Partner,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    language: str,
    back: bool,
    words: str,
) -> None:
    if back:
        bounced(send, "ann@far.example")
    else:
        refused(send("ann@far.example"))
    customer.email = "ann@far.example"
    db.session.commit()
    browser = sign_in(make_user("administrator", language=language))
    form = changed(opened(browser, quotation), cc_typed="ann@far.example")
    asked = press_send(browser, quotation, form).text
    assert words in asked.replace("\u00a0", " ")
    assert words in browser.get(f"/partners/{customer.id}").text


def complaint_of(mail: OutgoingMail, address: str) -> bytes:
    return (
        "From: feedback@far.example\nTo: sales@maison.example.com\nSubject: complaint\nMessage-ID: <c@far.example>\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="=_part"\n\n'
        "--=_part\nContent-Type: text/plain\n\nSpam.\n\n--=_part\nContent-Type: message/feedback-report\n\n"
        f"Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Rcpt-To: {address}\n\n"
        f"--=_part\nContent-Type: message/rfc822\n\nMessage-ID: {mail.message_id}\nTo: {address}\n\nx\n"
        "--=_part--\n"
    ).encode()


@pytest.mark.parametrize(
    ("before", "after", "is_noted"),
    [
        (MailConsent.PROMOTIONAL, MailConsent.NECESSARY, True),
        (MailConsent.NECESSARY, MailConsent.NECESSARY, False),
        (MailConsent.NONE, MailConsent.NONE, False),
    ],
)
def test_a_complaint_stops_promotional_emails_and_the_history_says_why(
    send: Send, before: MailConsent, after: MailConsent, is_noted: bool
) -> None:
    values = {"name": "Ann", "email": "Ann@far.example", "language": "en", "consent": before}
    ann = save_partner(None, {**values, "consent_source": "form on the website"})
    bob = save_partner(None, {**values, "name": "Bob", "email": "bob@far.example", "consent_source": "fair"})
    mail = accepted(send("ann@far.example"))
    take(complaint_of(mail, "ann@far.example"))
    db.session.expire_all()
    assert (ann.consent, bob.consent) == (after, before)
    said = "complaint" if before is not MailConsent.NONE else "form on the website"
    assert (ann.consent_source, ann.consent_at is not None) == (said, True)
    last = [one for one in last_changes(ann) if one.source == "complaint"]
    assert [(one.before, one.after) for one in last] == ([(before, after)] if is_noted else [])


def test_the_form_shows_how_a_complaint_is_known_in_the_words_of_its_reader_and_keeps_it(
    send: Send, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    values = {"name": "Ann", "email": "ann@far.example", "language": "fr", "country": "FR"}
    ann = save_partner(None, {**values, "consent": "promotional", "consent_source": "salon"})
    take(complaint_of(accepted(send("ann@far.example")), "ann@far.example"))
    browser = sign_in(make_user("administrator", language="fr"))
    assert "plainte" in browser.get(f"/partners/{ann.id}").text
    form = form_of(browser.get(f"/partners/{ann.id}/edit").text, "consent_source")
    assert form["consent_source"] == "plainte"
    page = browser.post(f"/partners/{ann.id}/edit", data=filled_in(form, name="Anne"))
    assert page.status_code == 302
    db.session.expire_all()
    assert (ann.name, ann.consent_source) == ("Anne", "complaint")


def test_a_complaint_about_a_mail_that_had_not_gone_there_stops_nothing(send: Send) -> None:
    values = {"name": "Ann", "language": "en", "consent": "promotional", "consent_source": "fair"}
    ann = save_partner(None, {**values, "email": "ann@far.example"})
    mail = accepted(send("bob@far.example", "eve@far.example"))
    take(complaint_of(mail, "ann@far.example"))
    db.session.expire_all()
    assert ann.consent is MailConsent.PROMOTIONAL


def test_a_complaint_is_told_and_stops_nothing_that_was_ordered(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    take(complaint_of(mail, "ann@far.example"))
    assert set(complained_among(["ann@far.example", "bob@far.example"])) == {"ann@far.example"}
    assert complained_among(["ann@far.example"])["ann@far.example"] <= clock.now()
    db.session.expire_all()
    assert mail.state is MailState.SENT
    assert dead_among(["ann@far.example"]) == {}


@pytest.mark.both_databases
@pytest.mark.parametrize("ask", [dead_among, complained_among])
def test_three_hundred_addresses_are_asked_for_in_two_queries(
    send: Send, ask: Callable[[list[str]], dict[str, Any]]
) -> None:
    bounced(send, "ann@far.example")
    everybody = ["ann@far.example", *(f"c{number}@far.example" for number in range(300))]
    with statements() as asked:
        found = ask(everybody)
    assert len(asked) <= 2
    assert "diagnostic" not in str(asked)  # what servers say can be long, and only one page shows it
    assert set(found) == ({"ann@far.example"} if ask is dead_among else set())


@pytest.mark.both_databases
def test_a_person_releases_an_address_until_a_server_says_again_that_nobody_has_it(
    send: Send, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient], company: Company
) -> None:
    partner = save_partner(None, {"name": "Ann", "email": "ann@far.example", "language": "en"})
    mail = bounced(send, "ann@far.example")
    browser = sign_in(make_user())
    page = browser.get(f"/partners/{partner.id}").text
    assert "It works again" in page
    assert "words: 550 5.1.1" in page.replace("&#39;", "'")
    url = f"/outbox/partners/{partner.id}/release"
    browser.post(url, data={"address": "ANN@other.example"})
    assert set(dead_among(["ann@far.example"])) == {"ann@far.example"}
    page = browser.post(url, data={"address": "ann@far.example"}, follow_redirects=True).text
    assert "ann@far.example is no longer marked." in page
    assert "It works again" not in page
    assert dead_among(["ann@far.example", "ANN@far.example"]) == {}
    assert mail.state is MailState.FAILED
    bounced(send, "ann@far.example", number=2)
    assert set(dead_among(["ann@far.example"])) == {"ann@far.example"}
