"""What was said to and fro: a mail, what came back as answers, and what we have answered to those."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from core.auth.models import User
from core.db import db
from core.mail.bounces.model import Nature
from core.mail.quotes import split_quoted
from modules.outbox.models import Answer, InboundMessage, MailRecipient, OutgoingMail, Verdict
from modules.outbox.queries import readable, visible_recipients

MAX_TURNS = 100  # of one conversation that a page shows, the newest
MAX_DEPTH = 50  # turns that a conversation is followed back; a circle in it ends there too
IN_PANEL = 3  # answers to one mail that a panel names, the newest
MAX_TEASER = 120  # characters of an answer in a panel


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side has said.

    Attributes:
        at: When.
        mail: Ours, or None.
        inbound: What came in, or None.
        written: What was written in it, "" where it is not kept.
        quoted: What it repeats, or "".
        by_itself: True where a program has answered.
        is_recipient: True where the mail had gone to who answers.
    """

    at: dt.datetime
    mail: OutgoingMail | None = None
    inbound: InboundMessage | None = None
    written: str = ""
    quoted: str = ""
    by_itself: bool = False
    is_recipient: bool = True

    @property
    def teaser(self) -> str:
        """The first words."""
        words = " ".join(self.written.split())
        return words if len(words) <= MAX_TEASER else f"{words[: MAX_TEASER - 1].rstrip()}…"


def conversation(mail: OutgoingMail, user: User) -> list[Turn]:
    """Return what was said to and fro about a mail, oldest first; of our mails those that the user may open.

    Nothing where nobody has answered, and the mail answers nobody.
    """
    first = _first_of(mail)
    mails = {first.id: first, mail.id: mail}
    level = [first.id]
    found: dict[int, InboundMessage] = {}
    for _depth in range(MAX_DEPTH):
        answers = [one for one in answers_to(level) if one.id not in found]
        found |= {one.id: one for one in answers}
        ours = db.session.scalars(
            select(OutgoingMail).where(OutgoingMail.answers_id.in_([one.id for one in answers]))
        ).all()
        mails |= {one.id: one for one in ours}
        level = [one.id for one in ours]
        if not level or len(found) + len(mails) > MAX_TURNS:
            break
    if not found and mail.answers_id is None:
        return []
    ids = set(db.session.scalars(select(OutgoingMail.id).where(OutgoingMail.id.in_(mails), readable(user))))
    people = visible_recipients([one for one in mails.values() if one.id in ids], user)
    turns = [_ours(one) for one in mails.values() if one.id in ids]
    turns += [_theirs(one) for one in found.values() if _is_shown(one, people)]
    return sorted(turns, key=lambda turn: turn.at)[-MAX_TURNS:]


def answers_in_panel(people: Mapping[int, Sequence[MailRecipient]]) -> dict[int, list[Turn]]:
    """Return the newest answers that people have written to some mails, by the id of the mail, newest first.

    Args:
        people: The recipients that the user gets to see, by the id of the mail.
    """
    turns: dict[int, list[Turn]] = {}
    for inbound in reversed(answers_to(people)):
        mine = turns.setdefault(inbound.mail_id or 0, [])
        if inbound.nature is not Nature.AUTO_REPLY and len(mine) < IN_PANEL and _is_shown(inbound, people):
            mine.append(_theirs(inbound))
    return turns


def _is_shown(inbound: InboundMessage, people: Mapping[int, Sequence[MailRecipient]]) -> bool:
    """Return True unless it would tell of a blind copy that its reader does not see."""
    seen = people.get(inbound.mail_id or 0)
    if seen is None:
        return False
    return inbound.answered_by_id is None or inbound.answered_by_id in {one.id for one in seen}


def answers_to(mail_ids: Iterable[int]) -> list[InboundMessage]:
    """Return what came in as answers to some mails, automatic ones too, the oldest first."""
    return list(
        db.session.scalars(
            select(InboundMessage)
            .where(InboundMessage.mail_id.in_(list(mail_ids)), InboundMessage.verdict == Verdict.ANSWER)
            .options(joinedload(InboundMessage.answer).options(selectinload(Answer.files)))
            .order_by(InboundMessage.id.desc())
            .limit(MAX_TURNS)
        )
    )[::-1]


def _first_of(mail: OutgoingMail) -> OutgoingMail:
    """Return the mail with which the conversation began, as far as it is known."""
    for _depth in range(MAX_DEPTH):
        answered = db.session.get(InboundMessage, mail.answers_id) if mail.answers_id is not None else None
        before = (
            db.session.get(OutgoingMail, answered.mail_id)
            if answered and answered.mail_id is not None
            else None
        )
        if before is None:
            break
        mail = before
    return mail


def _ours(mail: OutgoingMail) -> Turn:
    written, quoted = split_quoted(mail.body_text)
    return Turn(mail.submitted_at, mail=mail, written=written, quoted=quoted)


def _theirs(inbound: InboundMessage) -> Turn:
    written, quoted = split_quoted(inbound.answer.body_text) if inbound.answer is not None else ("", "")
    return Turn(
        inbound.received_at,
        inbound=inbound,
        written=written,
        quoted=quoted,
        by_itself=inbound.nature is Nature.AUTO_REPLY,
        is_recipient=inbound.answered_by_id is not None,
    )
