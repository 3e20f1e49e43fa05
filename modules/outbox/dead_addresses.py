"""Addresses that nobody has: the last that servers have said of them is that the mailbox does not exist.

No row says so: it is read from the recipients of mails, newest first, so an address that takes a mail again is alive by
that, and an erased one is forgotten. A person may release one, which is noted with what the server has said. A private
address is not among them: nobody remembers it from one receipt to the next. Whoever asks learns the day, what the
server said of the address, and nothing of the mail: it may be somebody else's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, or_, select, update

from core import clock
from core.db import db, transaction
from core.i18n import gettext
from core.mail.bounces.model import Action
from core.mail.outcomes import FailureKind, RecipientState
from core.web.formats import day, harmless
from modules.outbox.models import InboundMessage, MailRecipient, OutgoingMail, RecipientNotice, Verdict

_SAID = (RecipientState.ACCEPTED, RecipientState.BOUNCED, RecipientState.REFUSED)
_AT_ONCE = 900  # SQLite takes a bounded number of parameters


@dataclass(frozen=True, slots=True)
class Dead:
    """That an address is dead.

    Attributes:
        since: The day on which the mail left that showed it.
        came_back: Whether that was accepted first, and given up by a server behind; else it was refused at once.
        number: The recipient of that mail.
    """

    since: dt.datetime
    came_back: bool
    number: int

    def sentence(self, address: str) -> str:
        """Return what a person reads of it.

        Args:
            address: As it was asked for.
        """
        facts = {"address": harmless(address), "day": day(self.since)}
        if self.came_back:
            return str(
                gettext("An email to %(address)s came back on %(day)s: the mailbox does not exist.", **facts)
            )
        return str(gettext("%(address)s was refused on %(day)s: the mailbox does not exist.", **facts))


def dead_among(addresses: Iterable[str]) -> dict[str, Dead]:
    """Return those of some addresses that are dead.

    By a number of queries that grows with the thousands of addresses, not with each.
    """
    wanted = {address: _keys(address) for address in addresses}
    last: dict[str, tuple[int, Dead | None]] = {}
    for keys in _some(wanted.values()):
        for number, addr_spec, dead, left_at, state in db.session.execute(_last_said(keys)):
            came_back = state is RecipientState.BOUNCED
            last[addr_spec] = number, Dead(left_at, came_back, number) if dead else None
    found: dict[str, Dead] = {}
    for address, keys in wanted.items():
        said = [last[key] for key in keys if key in last]
        newest = max(said, key=lambda one: one[0])[1] if said else None
        if newest is not None:
            found[address] = newest
    return found


def words_about(dead: Mapping[str, Dead]) -> dict[str, str]:
    """Return what servers said of dead addresses, or our words where they had none; they can be long."""
    if not dead:
        return {}
    said = select(MailRecipient.id, MailRecipient.diagnostic).where(
        MailRecipient.id.in_([one.number for one in dead.values()])
    )
    words = dict(db.session.execute(said).all())
    return {address: words.get(one.number, "") for address, one in dead.items()}


def _last_said(keys: Sequence[str]) -> Select[int, str, bool, dt.datetime, RecipientState]:
    """Return what finds the last that servers have said of each of some addresses, and whether it is dead by that."""
    newest = (
        select(func.max(MailRecipient.id))
        .where(
            MailRecipient.addr_spec.in_(keys),
            MailRecipient.state.in_(_SAID),
            # What was held says nothing new.
            MailRecipient.failure_kind.is_distinct_from(FailureKind.ADDRESS_HELD),
        )
        .group_by(MailRecipient.addr_spec)
    )
    left_at = func.coalesce(
        MailRecipient.settled_at, OutgoingMail.submitted_at, type_=MailRecipient.settled_at.type
    )
    return (
        select(
            MailRecipient.id,
            MailRecipient.addr_spec,
            and_(
                MailRecipient.state != RecipientState.ACCEPTED,
                MailRecipient.failure_kind.is_not_distinct_from(FailureKind.RECIPIENT_UNKNOWN),
                # The same mail may have been sent to it again since.
                or_(
                    MailRecipient.released_at.is_(None), MailRecipient.released_at < MailRecipient.settled_at
                ),
            ),
            left_at,
            MailRecipient.state,
        )
        .join(OutgoingMail, OutgoingMail.id == MailRecipient.mail_id)
        .where(MailRecipient.id.in_(newest))
    )


def release(address: str) -> bool:
    """Take the word of a person that somebody has an address, until a server says again that nobody has.

    Returns:
        Whether it was dead.
    """
    with transaction() as session:
        dead = [number for number, _key, dead, *_ in session.execute(_last_said(_keys(address))) if dead]
        session.execute(
            update(MailRecipient).where(MailRecipient.id.in_(dead)).values(released_at=clock.now())
        )
    return bool(dead)


def complained_among(addresses: Iterable[str]) -> dict[str, dt.datetime]:
    """Return those of some addresses whose owner has called a mail unwanted, each with the day.

    They may get what they have ordered, and nothing promotional.
    """
    wanted = {address: _keys(address) for address in addresses}
    last: dict[str, dt.datetime] = {}
    for keys in _some(wanted.values()):
        last |= db.session.execute(
            select(MailRecipient.addr_spec, func.max(RecipientNotice.at, type_=RecipientNotice.at.type))
            .join(RecipientNotice, RecipientNotice.recipient_id == MailRecipient.id)
            .join(InboundMessage, InboundMessage.id == RecipientNotice.inbound_id)
            .where(
                MailRecipient.addr_spec.in_(keys),
                RecipientNotice.action == Action.COMPLAINED,
                InboundMessage.verdict == Verdict.COUNTED,
            )
            .group_by(MailRecipient.addr_spec)
        ).all()
    said = {address: [last[key] for key in keys if key in last] for address, keys in wanted.items()}
    return {address: max(moments) for address, moments in said.items() if moments}


def _keys(address: str) -> list[str]:
    return list(dict.fromkeys((address, address.lower())))


def _some(keys: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Return all keys, as many at once as a statement takes."""
    each = list(dict.fromkeys(key for some in keys for key in some))
    for start in range(0, len(each), _AT_ONCE):
        yield each[start : start + _AT_ONCE]
