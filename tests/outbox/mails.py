"""Mails in every state, written straight into the tables: how they got there is the business of other tests."""

from __future__ import annotations

from sqlalchemy import select, update

from core import clock
from core.db import db, transaction
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.models import MAILS, RECIPIENTS, MailRecipient, OutgoingMail
from modules.outbox.states import MailState

HOSTILE = "\x1b]0;owned\x07<script>alert(1)</script>\u202egpj.exe\u2066\x9b31m\x7f"
"""Terminal escapes (7 and 8 bits), HTML, turned directions."""
HARMFUL = set("\x1b\x07\x9b\x7f\u202e\u2066")


def become(mail: OutgoingMail, **values: object) -> OutgoingMail:
    """Give the row of a mail other values, and read it anew."""
    if values:
        with transaction() as session:
            session.execute(update(MAILS).where(MAILS.c.id == mail.id).values(**values))
    db.session.expire_all()
    return mail


def recipient_becomes(mail: OutgoingMail, position: int = 0, **values: object) -> MailRecipient:
    """Give the row of a recipient other values."""
    with transaction() as session:
        where = (RECIPIENTS.c.mail_id == mail.id) & (RECIPIENTS.c.position == position)
        session.execute(update(RECIPIENTS).where(where).values(**values))
    db.session.expire_all()
    return db.session.scalars(
        select(MailRecipient).where(MailRecipient.mail_id == mail.id, MailRecipient.position == position)
    ).one()


def refused(mail: OutgoingMail, **values: object) -> OutgoingMail:
    """Let a mail have failed, since its first recipient is unknown."""
    recipient_becomes(
        mail,
        state=RecipientState.REFUSED,
        failure_kind=FailureKind.RECIPIENT_UNKNOWN,
        reply_code=550,
        enhanced_code="5.1.1",
        diagnostic="550 5.1.1 no such mailbox",
    )
    return become(
        mail,
        **{
            "state": MailState.FAILED,
            "failure_kind": FailureKind.RECIPIENT_UNKNOWN,
            "failure_reason": "550 5.1.1 no such mailbox",
            "settled_at": clock.now(),
            **values,
        },
    )


def uncertain(mail: OutgoingMail) -> OutgoingMail:
    """Let nobody know what has become of a mail."""
    recipient_becomes(mail, state=RecipientState.UNCERTAIN, failure_kind=FailureKind.OUTCOME_UNKNOWN)
    return become(
        mail,
        state=MailState.UNCERTAIN,
        failure_kind=FailureKind.OUTCOME_UNKNOWN,
        sender_address="sales@maison.example.com",
        settled_at=clock.now(),
    )


def accepted(mail: OutgoingMail) -> OutgoingMail:
    """Let everybody have got a mail."""
    for position in range(mail.recipient_count):
        recipient_becomes(mail, position, state=RecipientState.ACCEPTED, reply_code=250)
    return become(mail, state=MailState.SENT, accepted_count=mail.recipient_count, settled_at=clock.now())
