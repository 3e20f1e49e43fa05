"""Addresses that nobody has: the last that servers have said of them is that the mailbox does not exist.

No row says so: it is read from the recipients of mails, newest first, so an address that takes a mail again is alive by
that, and an erased one is forgotten. A private address is found by its hash. Whoever asks learns the day and nothing of
the mail: it may be somebody else's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import func, select

from core.db import db
from core.mail.bounces.model import Action
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.models import InboundMessage, MailRecipient, OutgoingMail, RecipientNotice, Verdict
from modules.outbox.private_addresses import address_hash

_SAID = (RecipientState.ACCEPTED, RecipientState.BOUNCED, RecipientState.REFUSED)


def dead_among(addresses: Iterable[str]) -> dict[str, dt.datetime]:
    """Return those of some addresses that are dead, each with the day on which the mail left that showed it."""
    found = {address: _dead_since(address) for address in dict.fromkeys(addresses)}
    return {address: since for address, since in found.items() if since is not None}


def _dead_since(address: str) -> dt.datetime | None:
    last = db.session.execute(
        select(
            MailRecipient.state,
            MailRecipient.failure_kind,
            func.coalesce(
                MailRecipient.settled_at, OutgoingMail.submitted_at, type_=MailRecipient.settled_at.type
            ),
        )
        .join(OutgoingMail, OutgoingMail.id == MailRecipient.mail_id)
        .where(
            MailRecipient.addr_spec.in_(_keys(address)),
            MailRecipient.state.in_(_SAID),
            # What was held says nothing new.
            MailRecipient.failure_kind.is_distinct_from(FailureKind.ADDRESS_HELD),
        )
        .order_by(MailRecipient.id.desc())
        .limit(1)
    ).first()
    if last is None or last[0] is RecipientState.ACCEPTED or last[1] is not FailureKind.RECIPIENT_UNKNOWN:
        return None
    since: dt.datetime = last[2]
    return since


def complained_among(addresses: Iterable[str]) -> dict[str, dt.datetime]:
    """Return those of some addresses whose owner has called a mail unwanted, each with the day.

    They may get what they have ordered, and nothing promotional.
    """
    found = {}
    for address in dict.fromkeys(addresses):
        at = db.session.scalar(
            select(func.max(RecipientNotice.at, type_=RecipientNotice.at.type))
            .join(MailRecipient, MailRecipient.id == RecipientNotice.recipient_id)
            .join(InboundMessage, InboundMessage.id == RecipientNotice.inbound_id)
            .where(
                MailRecipient.addr_spec.in_(_keys(address)),
                RecipientNotice.action == Action.COMPLAINED,
                InboundMessage.verdict == Verdict.COUNTED,
            )
        )
        if at is not None:
            found[address] = at
    return found


def _keys(address: str) -> list[str]:
    return list(dict.fromkeys((address, address.lower(), address_hash(address))))
