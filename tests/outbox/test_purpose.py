"""What a mail is for is decided once, when it is submitted."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from core.db import db
from core.mail.addresses import parse_address
from core.mail.draft import Purpose
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.senders.service import save_company_sender, save_own_sender
from modules.mail_config.servers import circuit_breaker
from modules.outbox.alerts.service import mail_alerts, set_preference
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from modules.outbox.receivers import account_mail_wanted, mail_wanted
from tests.outbox.conftest import make_ready, make_server

pytestmark = [pytest.mark.smtp]


def newest() -> OutgoingMail:
    db.session.expire_all()
    return db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id.desc())).first()


def test_a_receipt_is_the_companys_whatever_sender_the_cashier_has(server, lab, company, seller, quotation):
    save_own_sender(seller, address=seller.login, name="Sophie", own_server=False)
    save_company_sender(
        company, Purpose.RECEIPT, address="till@maison.example.com", name="Till", reply_to="", server_id=None
    )
    mail_id = mail_wanted(
        quotation, addresses=(parse_address("a@example.com"),), by=seller, private=False, keep_days=None
    )
    deliver([mail_id])
    mail = newest()
    assert (mail.purpose, mail.sender_name, mail.sender_address) == (
        Purpose.RECEIPT, "Till", "till@maison.example.com",
    )  # fmt: skip


def test_links_for_passwords_and_alerts_are_the_applications(app, server, lab, company, make_user, seller):
    save_own_sender(seller, address=seller.login, name="", own_server=False)
    account_mail_wanted(
        app,
        user=seller,
        subject="Link",
        body_html="<p>⟦link⟧</p>",
        link="https://x",
        expires_at=None,
        by=seller,
    )
    assert newest().purpose is Purpose.ALERT
    boss = make_user("administrator")
    set_preference(boss, by_mail=True, every_failure=False)
    other = make_ready(make_server(lab, name="Other", priority=90))
    for _ in range(3):
        circuit_breaker.note_failure(other.id, Failure(FailureKind.TIMEOUT, True))
    assert mail_alerts() == 1
    assert newest().purpose is Purpose.ALERT
    assert newest().is_alert


def test_what_a_person_writes_is_single(server, send, seller):
    assert send("a@example.com", by=seller).purpose is Purpose.SINGLE
