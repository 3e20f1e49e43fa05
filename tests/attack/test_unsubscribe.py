"""Links by which somebody opts out: nobody makes one up, and nobody opts others out with their own."""

from __future__ import annotations

import pytest
from flask import Flask
from itsdangerous import URLSafeSerializer

from core.companies.models import Company
from core.db import db
from core.partners.models import MailConsent
from modules.outbox.inbound.intake import take
from modules.outbox.return_tokens import make_token
from modules.outbox.states import MailState
from tests.outbox.mails import accepted
from tests.outbox.promotions import path_of, promotion, willing


def test_a_link_that_was_never_ours_changes_nothing_and_says_so(app: Flask, company: Company) -> None:
    partner = willing()
    mail = promotion(company, partner)
    whole = path_of(mail)
    other = URLSafeSerializer("another key", "opt out of what advertises").dumps(mail.recipients[0].id)
    salted = URLSafeSerializer(app.config["SECRET_KEY"], "choose a password").dumps([mail.recipients[0].id])
    start = whole.rpartition("/")[0]
    for forged in (
        whole[:-1],
        f"{whole}x",
        f"{start}/1",
        f"{start}/{other}",
        f"{start}/{salted}",
        f"{start}/%00",
    ):
        for ask in (app.test_client().get, app.test_client().post):
            answer = ask(forged)
            assert answer.status_code == 404, forged
            assert "not one of ours" in answer.text
    db.session.expire_all()
    assert (partner.consent, mail.state) == (MailConsent.PROMOTIONAL, MailState.QUEUED)


def test_one_of_a_recipient_that_is_gone_says_so(app: Flask, company: Company) -> None:
    mail = promotion(company, willing())
    path = path_of(mail)
    db.session.delete(mail)
    db.session.commit()
    answer = app.test_client().post(path)
    assert answer.status_code == 200
    assert "no longer in our records" in answer.text


@pytest.mark.parametrize("named", ["nobody", "the mail alone", "another mail", "forged"])
def test_a_message_without_the_token_of_its_recipient_opts_nobody_out(company: Company, named: str) -> None:
    partner, other = willing(), willing("Martin", "martin@example.com")
    mail, their = accepted(promotion(company, partner)), accepted(promotion(company, other))
    token = {
        "nobody": "",
        "the mail alone": f"+{make_token(mail.id)}",
        "another mail": f"+{make_token(mail.id, 0)}",
        "forged": f"+{make_token(mail.id, 0).rpartition('-')[0][:-1]}1-{'a' * 16}",
    }[named]
    take(
        f"Delivered-To: back{token}@example.com\nFrom: evil@example.com\nTo: back{token}@example.com\n"
        f"Subject: unsubscribe\nIn-Reply-To: {mail.message_id}\nMessage-ID: <1@example.com>\n\n\n".encode()
    )
    db.session.expire_all()
    assert {partner.consent, other.consent} == {MailConsent.PROMOTIONAL}
    assert their.state is MailState.SENT


def test_other_pages_still_want_the_token_of_a_form(app: Flask, make_user, sign_in) -> None:
    client = sign_in(make_user("administrator"))
    app.config["WTF_CSRF_ENABLED"] = True
    assert client.post("/sign-out").status_code == 400
