"""The rows of the outbox's list, and for each a fingerprint that changes when the row would look different."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.db import db
from core.mail.draft import RecipientField
from core.mail.explanations import EXPLANATIONS, FailureKind, Repair
from core.mail.outcomes import RecipientState
from modules.mail_config.servers.circuit_breaker import SERVER_FAILURES, paused_among
from modules.outbox.badges import Badge, came_back_among, state_badge
from modules.outbox.delivery.settlement import WAITS_FOR_SERVER
from modules.outbox.mail_list.query_plan import reach_parts
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.permissions import RESEND
from modules.outbox.states import FAILED, WAITING, MailState


@dataclass(frozen=True, slots=True)
class Line:
    """A mail, as the list shows it.

    Attributes:
        mail: The mail.
        badge: Its state.
        failed: True when a person must act.
        recipient: Address of the first recipient, of a mail that not all have got the first who has not; "" when it was
            erased.
        more: How many other recipients there are.
        reason: Why it failed or waits, in a few words, or "".
        next_words: What it waits for where no time is known, or "".
        next_at: When it is tried next, or None.
        selectable: True when the user may act upon it.
    """

    mail: OutgoingMail
    badge: Badge
    failed: bool
    recipient: str
    more: int
    reason: str
    next_words: str
    next_at: dt.datetime | None
    selectable: bool

    @property
    def version(self) -> str:
        """A word that changes when the line does; a page sends it back to ask what has changed."""
        left = self.next_at and int((self.next_at - clock.now()) / dt.timedelta(minutes=1))
        shown = (
            self.mail.state,
            self.mail.dismissed_at,
            self.mail.accepted_count,
            self.mail.recipient_count,
            self.mail.attempts,
            self.recipient,
            self.reason,
            self.next_words,
            left,
            self.mail.document.number if self.mail.document else "",
            self.selectable,
        )
        return f"{zlib.crc32(repr(shown).encode()):08x}"


def lines_of(mails: Sequence[OutgoingMail], user: User) -> list[Line]:
    """Return the lines of some mails, by a fixed number of queries."""
    ids = [mail.id for mail in mails]
    partial = [mail.id for mail in mails if mail.state is MailState.PARTIAL]
    without = MailRecipient.mail_id.in_(partial) & (MailRecipient.state != RecipientState.ACCEPTED)
    # Blind copies are not everybody's to read: where one has not got it, the first recipient stands there as ever.
    shown = db.session.execute(
        select(MailRecipient.mail_id, MailRecipient.addr_spec)
        .where(
            MailRecipient.mail_id.in_(ids),
            (MailRecipient.position == 0) | (without & (MailRecipient.field != RecipientField.BCC)),
        )
        .order_by(MailRecipient.mail_id, without, MailRecipient.position.desc(), MailRecipient.id.desc())
    )
    recipients = {row.mail_id: row.addr_spec for row in shown}
    paused = paused_among(sorted({mail.server_id for mail in mails if mail.server_id is not None}))
    selectable = set(
        db.session.scalars(
            select(OutgoingMail.id).where(
                OutgoingMail.id.in_(ids), *(part.check for part in reach_parts(user, RESEND))
            )
        )
        if user.can(RESEND)
        else ()
    )
    back = came_back_among(mails)
    return [
        _line(mail, recipients.get(mail.id, ""), paused, mail.id in selectable, came_back=mail.id in back)
        for mail in mails
    ]


def _line(mail: OutgoingMail, recipient: str, paused: set[int], selectable: bool, *, came_back: bool) -> Line:
    words, moment = _next(mail, paused)
    return Line(
        mail=mail,
        badge=state_badge(
            mail.state,
            mail.accepted_count,
            mail.recipient_count,
            captured=mail.captured,
            dismissed=mail.dismissed_at is not None,
            came_back=came_back,
        ),
        failed=mail.state in FAILED and mail.dismissed_at is None,
        recipient=recipient,
        more=max(0, mail.recipient_count - 1),
        reason=reason_words(mail) if mail.state in FAILED | WAITING else "",
        next_words=words,
        next_at=moment,
        selectable=selectable,
    )


def reason_words(mail: OutgoingMail) -> str:
    """Return why a mail failed or waits, in a few words; with the name of the server where it is about one."""
    kind = mail.failure_kind
    if kind is None:
        return ""
    title = str(EXPLANATIONS[kind].title)
    about_server = kind in SERVER_FAILURES or EXPLANATIONS[kind].repair is Repair.SERVER
    return f"{title} · {mail.server.name}" if about_server and mail.server is not None else title


def _next(mail: OutgoingMail, paused: set[int]) -> tuple[str, dt.datetime | None]:
    """Return what happens next: words, or a time."""
    if mail.state is MailState.SCHEDULED:
        return "", mail.next_attempt_at
    if mail.state is not MailState.DEFERRED:
        return "", None
    if (mail.waits_for_server or mail.failure_kind in SERVER_FAILURES) and mail.server_id in paused:
        return gettext("when the server is back"), None
    if mail.failure_kind in WAITS_FOR_SERVER:
        return gettext("when a server is ready"), None
    if mail.failure_kind is FailureKind.PACED:
        return gettext("leaves"), mail.next_attempt_at
    return "", mail.next_attempt_at
