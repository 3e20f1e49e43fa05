"""Finds the mail of ours, and the recipients of it, that a message which came in is about.

Anybody can write a bounce. It is proved by what only a server that had our mail could know: a token of ours in the
address that it came to, or a Message-ID of ours together with a recipient of that very mail. What merely names an
address is shown as what it is, and changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core.db import db
from core.mail.addresses import ascii_addr_spec
from core.mail.bounces import Reading
from core.mail.bounces.model import Nature, Notice
from core.mail.outcomes import RecipientState
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.private_addresses import address_hash, hash_in
from modules.outbox.return_tokens import Token, TokenUse, token_in

PERHAPS_WITHIN = dt.timedelta(days=7)
"""How long after a mail a bounce without any proof is thought to be about it."""
ANSWERS = frozenset({Nature.ORDINARY, Nature.AUTO_REPLY})
"""What is no report about a mail: somebody has written it, or their program in their place."""
MAX_NOTICES = 500
"""Recipients of one report that are looked up; a mail of ours has fewer."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a message is about.

    Attributes:
        mail: The mail, or None where it is about none of ours.
        about: Its recipients, each with what is said about them; none where nothing is proved.
    """

    mail: OutgoingMail | None = None
    about: tuple[tuple[MailRecipient, Notice], ...] = ()


def match(reading: Reading, received_at: dt.datetime) -> Match:
    """Return the mail that a message is about, and whom of its recipients."""
    token = next((found for address in reading.addressed_to if (found := token_in(address))), None)
    mail = db.session.get(OutgoingMail, token.mail_id) if token is not None else None
    if mail is None:
        token, mail = None, _by_message_id(reading)
    if mail is None and reading.nature in ANSWERS:
        return Match(_by_reply_token(reading))
    if mail is None:
        return Match(_perhaps(reading, received_at))
    about = tuple(
        (recipient, notice)
        for notice in reading.notices[:MAX_NOTICES]
        if (recipient := _meant(mail, notice, reading, token)) is not None
    )
    return Match(mail, about)


def answerer(mail: OutgoingMail, sender: str) -> MailRecipient | None:
    """Return the recipient of a mail who has an address, as it stands in the From of an answer."""
    keys = _keys(mail, sender)
    return next((row for row in mail.recipients if not keys.isdisjoint(_keys_of_row(row))), None)


def _by_reply_token(reading: Reading) -> OutgoingMail | None:
    """Return the mail whose Reply-To an answer came to."""
    for address in reading.addressed_to:
        token = token_in(address, TokenUse.REPLY_TO)
        if token is not None:
            return db.session.get(OutgoingMail, token.mail_id)
    return None


def _by_message_id(reading: Reading) -> OutgoingMail | None:
    """Return the mail whose Message-ID the message names: returned, quoted or as the ENVID, which is the same."""
    ids = list(reading.about.message_ids)
    if reading.about.envelope_id:
        ids.append(f"<{reading.about.envelope_id.strip('<>')}>")
    if not ids:
        return None
    found = {
        mail.message_id: mail
        for mail in db.session.scalars(select(OutgoingMail).where(OutgoingMail.message_id.in_(ids)))
    }
    return next((found[one] for one in ids if one in found), None)


def _meant(mail: OutgoingMail, notice: Notice, reading: Reading, token: Token | None) -> MailRecipient | None:
    """Return the recipient of a mail whom a notice means."""
    named = {key for one in (notice.recipient, notice.original_recipient) if one for key in _keys(mail, one)}
    for recipient in mail.recipients:
        if not named.isdisjoint(_keys_of_row(recipient)):
            return recipient
    if token is not None and token.recipient_id:
        # The envelope had this one alone; what is named is where their mail was forwarded to.
        return next((row for row in mail.recipients if row.id == token.recipient_id), None)
    if len(mail.recipients) != 1:
        return None
    (only,) = mail.recipients
    returned = {key for address in reading.about.recipients for key in _keys(mail, address)}
    proved = (
        token is not None
        or not notice.recipient
        or reading.nature is Nature.READ_RECEIPT
        or not returned.isdisjoint(_keys_of_row(only))
    )
    return only if proved else None


def _keys(mail: OutgoingMail, address: str) -> set[str]:
    """Return how a recipient may be written who has this address: as it is, in ASCII, or as what stands for it."""
    return {*_written(address), hash_in(mail, address), address_hash(address, "erased")}


def _keys_of_row(recipient: MailRecipient) -> set[str]:
    return _written(recipient.addr_spec)


def _written(address: str) -> set[str]:
    if address.isascii():
        return {address.casefold()}
    try:
        return {address.casefold(), ascii_addr_spec(address).casefold()}
    except ValueError:
        return {address.casefold()}


def _perhaps(reading: Reading, received_at: dt.datetime) -> OutgoingMail | None:
    """Return the newest mail to an address that is named, sent not long before: a guess, for people to read."""
    named = [notice.recipient for notice in reading.notices[:MAX_NOTICES] if "@" in notice.recipient]
    # By the index, so the case must be that of the row; there domains are in lower case.
    return _newest_to([form for address in named for form in (address, address.lower())], received_at)


def _newest_to(addresses: Sequence[str], until: dt.datetime) -> OutgoingMail | None:
    if not addresses:
        return None
    handed_over = [RecipientState.ACCEPTED, RecipientState.UNCERTAIN, RecipientState.BOUNCED]
    return db.session.scalars(
        select(OutgoingMail)
        .join(MailRecipient, MailRecipient.mail_id == OutgoingMail.id)
        .where(
            MailRecipient.addr_spec.in_(addresses),
            MailRecipient.state.in_(handed_over),
            OutgoingMail.submitted_at.between(until - PERHAPS_WITHIN, until),
        )
        .order_by(OutgoingMail.id.desc())
        .limit(1)
    ).first()
