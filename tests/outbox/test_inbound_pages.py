"""What pages say of what has come back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from core import clock
from core.auth.models import User
from core.documents.models import Document
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.outbox.badges import badge_of, badges_for
from modules.outbox.inbound.intake import take
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.coming_back import GIVEN_UP, read_receipt, report
from tests.outbox.mails import accepted, become, recipient_becomes

Send = Callable[..., OutgoingMail]


def shown(browser: FlaskClient, mail: OutgoingMail, tab: str) -> str:
    text = browser.get(f"/outbox/mails/{mail.id}?tab={tab}").text
    return " ".join(text.replace("\u202f", " ").replace("\u00a0", " ").split())


@pytest.fixture
def readers(
    make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> Callable[[str], tuple[User, FlaskClient]]:
    def make(language: str) -> tuple[User, FlaskClient]:
        user = make_user(language=language)
        return user, sign_in(user)

    return make


@pytest.mark.parametrize(
    ("language", "after", "kind", "state"),
    [
        ("en", "Came back 12 minutes after it was accepted.", "Address unknown", "bounced"),
        ("fr", "Revenu 12 minutes après son acceptation.", "Adresse inconnue", "non remis"),
    ],
)
def test_the_reason_says_how_long_after_its_acceptance_a_mail_came_back(
    send: Send,
    readers: Callable[..., tuple[User, FlaskClient]],
    language: str,
    after: str,
    kind: str,
    state: str,
) -> None:
    user, browser = readers(language)
    mail = accepted(send("ann@far.example", by=user))
    recipient_becomes(mail, settled_at=clock.now() - dt.timedelta(minutes=12))
    take(report(mail, ("ann@far.example", "failed")))
    reason = shown(browser, mail, "reason")
    assert after in reason
    assert kind in reason
    assert "550 5.1.1 User unknown" in reason
    people = shown(browser, mail, "recipients")
    assert state in people
    assert after in people


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "a server still tries until Tuesday, 1 December 2026. Nothing is lost."),
        ("fr", "un serveur essaie encore jusqu’au mardi 1er décembre 2026. Rien n’est perdu."),
    ],
)
def test_a_delay_says_until_when_and_is_no_alarm(
    send: Send, readers: Callable[..., tuple[User, FlaskClient]], language: str, words: str
) -> None:
    user, browser = readers(language)
    mail = accepted(send("ann@far.example", by=user))
    more = "Will-Retry-Until: Tue, 01 Dec 2026 09:00:00 +0100\n"
    take(report(mail, ("ann@far.example", "delayed"), more=more))
    text = shown(browser, mail, "recipients")
    assert words in text
    assert 'class="failed"' not in text


def test_receipts_say_what_they_prove_and_what_not(
    send: Send, readers: Callable[..., tuple[User, FlaskClient]]
) -> None:
    user, browser = readers("en")
    mail = accepted(send("ann@far.example", by=user))
    take(report(mail, ("ann@far.example", "delivered")))
    take(read_receipt(mail, "ann@far.example"))
    text = shown(browser, mail, "recipients")
    assert "It does not prove that it was read." in text
    assert "It does not prove who has read it." in text
    assert "Read receipt: displayed" in shown(browser, mail, "timeline")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Away, says an automatic answer: back on Monday, 7 December 2026."),
        ("fr", "Absent, selon une réponse automatique : de retour le lundi 7 décembre 2026."),
    ],
)
def test_who_is_away_is_said_with_the_day_of_their_return(
    send: Send, readers: Callable[..., tuple[User, FlaskClient]], language: str, words: str
) -> None:
    user, browser = readers(language)
    mail = accepted(send("ann@far.example", by=user))
    absent = (
        f"From: ann@far.example\nTo: sales@maison.example.com\nAuto-Submitted: auto-replied\nSubject: Absent\n"
        f"In-Reply-To: {mail.message_id}\nDate: Mon, 30 Nov 2026 08:00:00 +0000\n\n"
        "I am back on 7 December 2026.\n"
    )
    take(absent.encode())
    assert words in shown(browser, mail, "recipients")


def test_where_a_server_gave_up_somebody_must_act_since_nobody_tries_again(
    send: Send, readers: Callable[..., tuple[User, FlaskClient]]
) -> None:
    user, browser = readers("en")
    mail = accepted(send("ann@far.example", by=user))
    take(report(mail, ("ann@far.example", "failed"), said=GIVEN_UP))
    text = shown(browser, mail, "reason")
    assert "The recipient&#39;s mail server could not be reached." in text
    assert "Envoi tries again by itself" not in text


@pytest.mark.both_databases
def test_the_badge_calls_it_bounced_and_a_filter_finds_it(
    send: Send, quotation: Document, seller: User, sign_in: Callable[[User], FlaskClient]
) -> None:
    mail = accepted(send("ann@far.example", by=seller, document=quotation))
    some = accepted(send("ann@far.example", "bob@far.example", by=seller, subject="Some have it"))
    refused = become(send("carl@far.example", by=seller, subject="Refused at once"), state=MailState.FAILED)
    take(report(mail, ("ann@far.example", "failed")))
    take(report(some, ("bob@far.example", "failed")))
    badge = badges_for([quotation.id])[quotation.id]
    assert (badge.word, badge.reason) == ("bounced", "Address unknown")
    badge = badge_of(become(some))
    assert badge is not None
    assert (badge.word, badge.reason) == ("1 of 2 accepted", "bounced: Address unknown")
    assert badge_of(refused).word == "failed"
    browser = sign_in(seller)
    page = browser.get(f"/documents/{quotation.id}", follow_redirects=True)
    assert "bounced: Address unknown" in " ".join(page.text.split())
    listed = browser.get("/outbox/mails?f=bounced").text
    assert "Some have it" in listed
    assert "Refused at once" not in listed


@pytest.mark.smtp
def test_the_test_of_a_server_leaves_by_the_address_that_bounces_go_to(
    server: MailServer, lab: SmtpLab, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    browser = sign_in(make_user("administrator"))
    form = {
        "name": server.name,
        "host": server.host,
        "port": server.port,
        "encryption": "none",
        "priority": 10,
        "active": "y",
        "company_id": 0,
        "bounce_address": "Bounces@Maison.example.com",
        "bounce_tokens": "y",
    }
    assert browser.post(f"/mail_config/servers/{server.id}/edit", data=form).status_code == 302
    sent = {"from_address": "sales@maison.example.com", "recipient": "ada@maison.example.com"}
    browser.post(f"/mail_config/servers/{server.id}/test", data=sent)
    assert [one.envelope_from for one in lab.accepted] == ["Bounces+test@maison.example.com"]
    wrong = browser.post(f"/mail_config/servers/{server.id}/edit", data={**form, "bounce_address": "nowhere"})
    assert wrong.status_code in {200, 422}
    assert "invalid-feedback" in wrong.text
