"""Whoever gets what advertises can stop it by one click, and gets the rest all the same."""

from __future__ import annotations

import dataclasses
import datetime as dt
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from flask import Flask
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.mail.outcomes import FailureKind
from core.partners import merging
from core.partners.consent import promotional_among
from core.partners.history import ChangeKind, last_changes
from core.partners.models import MailConsent, Partner
from core.partners.service import save_contact, save_partner
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.outbox import service
from modules.outbox.delivery import claims
from modules.outbox.delivery.run import deliver
from modules.outbox.document_check import document_problem
from modules.outbox.inbound.intake import take
from modules.outbox.message import build_message
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from modules.outbox.unsubscribe_links import unsubscribe_link
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.mails import accepted
from tests.outbox.promotions import path_of, promotion, willing

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def one_click(app: Flask, mail: OutgoingMail) -> int:
    """Do what Gmail does: a POST with the body of RFC 8058, no cookie, no token of a form."""
    app.config["WTF_CSRF_ENABLED"] = True
    answer = app.test_client().post(path_of(mail), data=ONE_CLICK, headers={"Origin": "https://mail.example"})
    db.session.expire_all()
    return answer.status_code


def message_of(mail: OutgoingMail, *, with_link: bool = True, **how: str) -> EmailMessage:
    with transaction():
        mail.sender_address = "sales@maison.example.com"
    return message_from_bytes(build_message(mail, with_link=with_link, **how), policy=policy.default)


# ------------------------------------------------------------------------------------------------ what leaves


def test_what_advertises_says_how_to_opt_out_in_its_head_and_below_its_text(
    app: Flask, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(app.extensions["envoi_settings"], base_url="https://envoi.example.com")
    monkeypatch.setitem(app.extensions, "envoi_settings", settings)
    mail = promotion(company, willing(), language="fr")
    link = unsubscribe_link(mail.recipients[0].id)
    assert link.startswith("https://envoi.example.com/outbox/unsubscribe/")
    message = message_of(mail, return_address="back+1-2-abcdefghijklmnop@example.com")
    # The structured field as it travels: never an encoded word, which no mail program would read.
    assert message.get_all("List-Unsubscribe") == [
        f"<{link}>, <mailto:back+1-2-abcdefghijklmnop@example.com?subject=unsubscribe>"
    ]
    assert message.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    assert message["List-Id"] == f"<offers.{message['Message-ID'].strip('<>').rpartition('@')[2]}>"
    text = message.get_body(("plain",)).get_content()
    assert (text.count(link), "Se désabonner" in text) == (1, True)
    assert f'href="{link}"' in message.get_body(("html",)).get_content()
    assert message_of(mail).as_bytes() == message_of(mail).as_bytes()


def test_without_https_there_is_a_link_and_no_one_click(company: Company) -> None:
    message = message_of(promotion(company, willing()))
    assert message["List-Unsubscribe"].startswith("<http://")
    assert "List-Unsubscribe-Post" not in message


def test_what_does_not_advertise_says_nothing_of_it_nor_does_the_copy_of_a_colleague(
    company: Company, send
) -> None:
    message = message_of(send("dupont@example.com"))
    assert "List-Unsubscribe" not in message
    mail = promotion(company, willing())
    copy = message_of(mail, with_link=False)
    assert "List-Unsubscribe" not in copy
    assert "unsubscribe" not in copy.get_body(("plain",)).get_content()


@pytest.mark.smtp
def test_the_address_of_a_return_mailbox_is_named_where_there_is_one(company: Company, lab: SmtpLab) -> None:
    make_ready(make_server(lab, bounce_address="back@example.com", bounce_tokens=True))
    partner = willing()
    mail = promotion(company, partner)
    deliver([mail.id])
    (received,) = lab.accepted
    field = message_from_bytes(received.data, policy=policy.default)["List-Unsubscribe"]
    address = field.partition("<mailto:")[2].partition("?")[0]
    assert address.startswith("back+")
    answer = (
        f"Delivered-To: {address}\nFrom: dupont@example.com\nTo: {address}\nSubject: {{}}\n"
        "Message-ID: <{}@example.com>\n\n\n"
    )
    take(answer.format("Re: A subject", 1).encode())
    db.session.expire_all()
    assert partner.consent is MailConsent.PROMOTIONAL
    take(answer.format("Unsubscribe", 2).encode())
    db.session.expire_all()
    assert (partner.consent, partner.consent_source) == (
        MailConsent.NECESSARY,
        "message to the unsubscribe address",
    )


@pytest.mark.parametrize("consent", ["necessary", "none"])
def test_only_who_has_opted_in_gets_it_and_each_alone(company: Company, consent: str) -> None:
    one, other = willing(), willing("Martin", "martin@example.com")
    for people in ([willing("No", "no@example.com", consent=consent)], [one, other]):
        with pytest.raises(UserError):
            promotion(company, *people)
    assert db.session.scalars(select(OutgoingMail)).all() == []


# ------------------------------------------------------------------------------------------------- one click


@pytest.mark.both_databases
def test_one_click_without_a_cookie_opts_out_at_once_and_twice_is_the_same(
    app: Flask, company: Company, send
) -> None:
    partner = willing()
    twin = willing("Dupont fils", "Dupont@Example.com")
    sent = accepted(promotion(company, partner))
    queued = promotion(company, twin)
    later = promotion(company, partner)
    with transaction():
        stranger = promotion(company, willing("Martin", "martin@example.com"))
    invoice = send("dupont@example.com")
    assert one_click(app, sent) == 200
    since = partner.consent_at
    assert (partner.consent, partner.consent_source, since is not None) == (
        MailConsent.NECESSARY,
        "unsubscribe link in an email",
        True,
    )
    assert twin.consent is MailConsent.NECESSARY
    assert [mail.state for mail in (queued, later, stranger, invoice)] == [
        MailState.CANCELED,
        MailState.CANCELED,
        MailState.QUEUED,
        MailState.QUEUED,
    ]
    assert queued.events[-1].detail == "The recipient has unsubscribed."
    (change, *_older) = last_changes(partner)
    assert (change.kind, change.after, change.source, change.by_user_id) == (
        ChangeKind.CONSENT,
        "necessary",
        "unsubscribe link in an email",
        None,
    )
    told = len(last_changes(partner))
    assert one_click(app, sent) == 200
    assert (partner.consent_at, len(last_changes(partner))) == (since, told)
    assert [event.verb for event in sent.events].count("unsubscribed") == 1


@pytest.mark.parametrize(
    ("language", "button", "done"),
    [
        ("en", "Unsubscribe", "You are unsubscribed: Maison Test sends you no more promotional emails."),
        (
            "fr",
            "Se désabonner",
            "Vous êtes désabonné(e) : Maison Test ne vous envoie plus d’e‑mails promotionnels.",
        ),
    ],
)
def test_the_page_speaks_the_language_of_the_email_and_looking_changes_nothing(
    app: Flask, company: Company, language: str, button: str, done: str
) -> None:
    partner = willing()
    mail = promotion(company, partner, language=language)
    client = app.test_client()
    for _ in range(3):
        page = client.get(path_of(mail))
        assert (page.status_code, f">{button}</button>" in page.text) == (200, True)
    client.head(path_of(mail))
    db.session.expire_all()
    assert (partner.consent, mail.state) == (MailConsent.PROMOTIONAL, MailState.QUEUED)
    assert done in client.post(path_of(mail)).text.replace("\xa0", " ").replace("\u202f", " ")


def test_whoever_wants_no_emails_at_all_still_wants_none(app: Flask, company: Company) -> None:
    partner = willing()
    mail = promotion(company, partner)
    save_partner(partner, {"consent": "none"})
    assert one_click(app, mail) == 200
    assert partner.consent is MailConsent.NONE


# --------------------------------------------------------------------------------- merged, deleted, changed since


def test_of_one_merged_since_the_one_that_is_kept_opts_out(app: Flask, company: Company, make_user) -> None:
    boss = make_user("administrator")
    former, kept = willing(), willing("Dupont SA", "new@example.com")
    mail = promotion(company, former)
    merging.merge(kept.id, former.id, boss)
    assert document_problem(mail) is None
    assert one_click(app, mail) == 200
    assert kept.consent is MailConsent.NECESSARY
    assert document_problem(mail) is not None


def test_of_one_deleted_since_nothing_leaves_and_the_page_is_clear(app: Flask, company: Company) -> None:
    partner = willing()
    mail = promotion(company, partner)
    with transaction() as session:
        session.delete(partner)
    db.session.expire_all()
    problem = document_problem(mail)
    assert problem is not None
    assert problem.kind is FailureKind.OPTED_OUT
    assert one_click(app, mail) == 200
    assert mail.state is MailState.CANCELED


def test_of_an_address_changed_since_the_customer_opts_out(app: Flask, company: Company) -> None:
    partner = willing()
    mail = promotion(company, partner)
    save_partner(partner, {"email": "other@example.com"})
    one_click(app, mail)
    assert partner.consent is MailConsent.NECESSARY


# ------------------------------------------------------------------------------------------- at the moment of delivery


@pytest.mark.smtp
@pytest.mark.parametrize("by_hand", ["consent", "archive", "delete"])
def test_nothing_that_advertises_leaves_against_the_word_of_that_moment(
    company: Company, lab: SmtpLab, server: MailServer, by_hand: str
) -> None:
    partner = willing()
    mail, kept = promotion(company, partner), promotion(company, willing("Martin", "martin@example.com"))
    with transaction() as session:
        if by_hand == "delete":
            session.delete(partner)
    if by_hand == "consent":
        save_partner(partner, {"consent": "necessary"})
    elif by_hand == "archive":
        save_partner(partner, {"active": False})
    deliver([mail.id, kept.id])
    db.session.expire_all()
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.OPTED_OUT)
    assert [received.recipients for received in lab.accepted] == [("martin@example.com",)]
    assert service.resend([mail.id]) == []


@pytest.mark.smtp
def test_who_opts_out_while_a_worker_has_the_mail_does_not_get_it(
    app: Flask, company: Company, lab: SmtpLab, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = promotion(company, willing())
    claim = claims.claim

    def claim_then_click(mail_ids: list[int]) -> str | None:
        token = claim(mail_ids)
        one_click(app, mail)
        return token

    monkeypatch.setattr(claims, "claim", claim_then_click)
    deliver([mail.id])
    db.session.expire_all()
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.OPTED_OUT)
    assert lab.accepted == []


# --------------------------------------------------------------------------------------------------- who is willing


@pytest.mark.both_databases
def test_a_contact_speaks_for_itself(company: Company) -> None:
    customer = willing()
    contact = save_contact(customer, "Ann", "ann@example.com")
    archived = willing("Old", "old@example.com", active=False)
    assert promotional_among({customer.id, contact.id, archived.id, 10**6}) == {customer.id}


def day(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("kept", "merged", "becomes"),
    [
        ("promotional", "necessary said", "necessary"),
        ("necessary said", "promotional", "necessary"),
        ("necessary", "promotional", "promotional"),
        ("promotional", "necessary", "promotional"),
        ("promotional", "none", "none"),
        ("none", "promotional", "none"),
        ("necessary said", "none", "none"),
    ],
)
def test_of_two_that_become_one_the_stricter_word_holds(
    make_user, kept: str, merged: str, becomes: str
) -> None:
    boss = make_user("administrator")

    def one(name: str, said: str) -> Partner:
        consent, *spoken = said.split()
        at = {"consent_at": day("2024-03-01")} if spoken or consent != "necessary" else {}
        return save_partner(None, {"name": name, "consent": consent, "consent_source": "fair", **at})

    left, right = one("A", kept), one("B", merged)
    assert merging.merge(left.id, right.id, boss).consent == becomes


def test_the_history_and_the_mail_show_it(app: Flask, company: Company, make_user, sign_in) -> None:
    boss: User = make_user("administrator", language="fr")
    partner = willing()
    mail = accepted(promotion(company, partner))
    one_click(app, mail)
    app.config["WTF_CSRF_ENABLED"] = False
    client = sign_in(boss)
    assert "lien de désabonnement dans un e‑mail" in client.get(f"/partners/{partner.id}").text
    assert "désabonné" in client.get(f"/outbox/mails/{mail.id}?tab=timeline").text
    assert clock.now() >= partner.consent_at
