"""What becomes of it when a recipient opts out: the word is noted, and nothing that waits leaves any more."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import or_, select

from core.db import db, transaction
from core.i18n import N_
from core.partners.consent import withdraw_promotional
from modules.outbox.models import WAITS, MailRecipient, OutgoingMail
from modules.outbox.private_addresses import is_address_hash
from modules.outbox.return_tokens import token_in
from modules.outbox.service import cancel
from modules.outbox.states import CANCELABLE
from modules.outbox.transitions import note
from modules.outbox.unsubscribe_links import MAILTO_SUBJECT

BY_LINK = N_("unsubscribe link in an email")
BY_MESSAGE = N_("message to the unsubscribe address")
HAS_OPTED_OUT = N_("The recipient has unsubscribed.")


class Outcome(StrEnum):
    """What opting out has changed."""

    DONE = "done"  # nothing promotional reaches the address any more
    BEFORE = "before"  # that was so already
    GONE = "gone"  # nobody here has the address any more, so nothing is sent to it


def recipient_known(recipient_id: int) -> MailRecipient | None:
    """Return the recipient of a link, or None once neither the address nor the customer is known any more."""
    recipient = db.session.get(MailRecipient, recipient_id)
    if recipient is None or (recipient.partner_id is None and is_address_hash(recipient.addr_spec)):
        return None
    return recipient


def opt_out(recipient_id: int, source: str) -> Outcome:
    """Note that a recipient wants nothing any more that advertises, and cancel what of it waits for the address.

    A mail that is being handed over at this very moment still arrives; the others are asked about once more before
    they leave (`document_check`). Doing it twice changes nothing.

    Args:
        recipient_id: The recipient, as a link or a return address names it.
        source: How it is known, for the customer's history: `BY_LINK` or `BY_MESSAGE`.
    """
    with transaction():
        recipient = recipient_known(recipient_id)
        if recipient is None:
            return Outcome.GONE
        address = "" if is_address_hash(recipient.addr_spec) else recipient.addr_spec
        changed = withdraw_promotional(recipient.partner_id, address, source)
        if changed:
            note(recipient.mail, "unsubscribed", before=recipient.mail.state)
        ids = {partner.id for partner in changed} | ({recipient.partner_id} - {None})
        waiting = (
            select(OutgoingMail.id)
            .join(MailRecipient, MailRecipient.mail_id == OutgoingMail.id)
            .where(
                WAITS,
                OutgoingMail.state.in_(sorted(CANCELABLE)),
                OutgoingMail.promotional,
                or_(
                    MailRecipient.addr_spec.in_({address, address.lower()}),
                    MailRecipient.partner_id.in_(ids),
                ),
            )
        )
        cancel(list(db.session.scalars(waiting)), detail=HAS_OPTED_OUT)
    return Outcome.DONE if changed else Outcome.BEFORE


def opt_out_by_message(mail: OutgoingMail, addressed_to: Iterable[str], subject: str) -> Outcome | None:
    """Take a message for what it is that came by the address of `List-Unsubscribe` (RFC 2369 §3.2).

    Args:
        mail: The mail that it is about.
        addressed_to: The addresses that it came to; one must carry the token of a recipient of that mail.
        subject: Its subject, by which it is told from an answer.

    Returns:
        What it has changed, or None where it wants nothing of the kind.
    """
    if not mail.promotional or subject.strip().casefold() != MAILTO_SUBJECT:
        return None
    for address in addressed_to:
        token = token_in(address)
        if token is not None and token.mail_id == mail.id and token.recipient_id:
            return opt_out(token.recipient_id, BY_MESSAGE)
    return None
