"""What people do to a mail that waits: change it, let another take its place, put it back, move it to another time.

While somebody changes it, a mail is scheduled, and leaves as it was once they were not heard of for `HOLD`: a browser
that dies delays a mail and never loses one. Whoever saves wins or loses by the row of the former mail, locked: it has
left, or it is canceled in the transaction that writes the new one. So both never leave.
"""

from __future__ import annotations

import datetime as dt
import secrets

from sqlalchemy import update

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.installation.service import note_decision
from core.jobs import enqueue_after_commit
from core.mail.draft import MailDraft
from modules.outbox.models import RUN_ITEMS, OutgoingMail
from modules.outbox.service.queue import enqueue_delivery
from modules.outbox.service.submission import submit
from modules.outbox.states import CANCELABLE, MailState
from modules.outbox.transitions import locked_mails, move

HOLD = dt.timedelta(minutes=15)
"""A mail that somebody changes stays for so long after they were last heard of."""
LONGEST_AHEAD = dt.timedelta(days=366)  # as for the composer


def begin_change(mail_id: int, by: User, *, take_over: bool = False) -> str:
    """Take a mail that waits out of the queue, so that it can be changed; return the token of the change.

    Args:
        mail_id: The mail.
        by: Who changes it.
        take_over: True to go on where somebody else is changing it; what they save is refused then.

    Raises:
        UserError: It has left or was canceled, some have it already, or somebody else is changing it.
    """
    with transaction():
        (mail,) = locked_mails([mail_id])
        _demand_waiting(mail)
        now = clock.now()
        other = editor_of(mail)
        if other is not None and other.id != by.id and not take_over:
            raise UserError(_l("%(name)s is changing this email at the moment.", name=other.name))
        due = mail.next_attempt_at if mail.state is MailState.SCHEDULED else now
        move(mail, "edit", MailState.SCHEDULED, by)
        mail.edit_token, mail.edited_by_id = secrets.token_hex(16), by.id
        mail.edit_until = now + HOLD
        mail.next_attempt_at = max(due, mail.edit_until)
        mail.claim_token = mail.lease_until = None
        mail.slot_at = mail.slot_server_id = None
        mail.waits_for_server = False
        return mail.edit_token


def prolong_change(mail_id: int, token: str, by: User) -> None:
    """Note that somebody still changes a mail; does nothing where they do not any more."""
    with transaction():
        for mail in locked_mails([mail_id]):
            if mail.state is MailState.SCHEDULED and mail.edit_until and _is_change(mail, token, by):
                mail.edit_until = clock.now() + HOLD
                mail.next_attempt_at = max(mail.next_attempt_at, mail.edit_until)


def end_change(mail_id: int, by: User, *, token: str | None = None) -> bool:
    """Let a mail wait and leave as it was; return False where nobody was changing it.

    Args:
        mail_id: The mail.
        by: Who ends it.
        token: Of the change that is ended; None for any, whoever makes it.
    """
    with transaction() as session:
        (mail,) = locked_mails([mail_id])
        mine = token is None or _is_change(mail, token, by)
        if mail.state is not MailState.SCHEDULED or mail.edit_until is None or not mine:
            return False
        now = clock.now()
        later = mail.not_before is not None and mail.not_before > now
        move(mail, "put_back", MailState.SCHEDULED if later else MailState.QUEUED, by)
        # The token stays: a page that "Back" shows again still saves while the mail is there.
        mail.edit_until = None
        mail.next_attempt_at = mail.not_before if later and mail.not_before else now
        session.flush()
        if later:
            _let_go_at(mail)
        else:
            enqueue_delivery([mail.id], front=True)
    return True


def replace(
    mail_id: int,
    change: str,
    draft: MailDraft,
    by: User,
    *,
    not_before: dt.datetime | None = None,
    token: str | None = None,
) -> OutgoingMail:
    """Let a changed mail take the place of the one that waits, in its run as well.

    Args:
        mail_id: The mail that waits.
        change: The token of the change, by `begin_change`.
        draft: What the composer holds.
        by: Who has changed it.
        not_before: As for `submit`.
        token: As for `submit`; the same form posted again leads to the same mail.

    Raises:
        UserError: The mail has left meanwhile or was canceled, somebody else goes on with it, or as for `submit`.
    """
    with transaction() as session:
        (former,) = locked_mails([mail_id])
        twin = session.get(OutgoingMail, former.replaced_by_id) if former.replaced_by_id else None
        if twin is not None and token is not None and twin.submission_token == token:
            return twin
        _demand_waiting(former)
        if not _is_change(former, change, by):
            raise UserError(
                _l("Somebody else has gone on with this email meanwhile. What you have changed is not saved.")
            )
        move(former, "replace", MailState.CANCELED, by)
        former.settled_at = clock.now()
        former.edit_token = former.edit_until = former.claim_token = former.lease_until = None
        session.flush()
        mail = submit(draft, by, not_before=not_before, token=token)
        mail.run_id, former.replaced_by_id = former.run_id, mail.id
        session.execute(update(RUN_ITEMS).where(RUN_ITEMS.c.mail_id == former.id).values(mail_id=mail.id))
        # Or a database from before would send what was taken back.
        note_decision()
    return mail


def reschedule(mail_id: int, moment: dt.datetime, by: User) -> None:
    """Let a mail that waits leave at another time.

    Raises:
        UserError: The moment has passed or is too far off, the mail has left or was canceled, some have it already.
    """
    now = clock.now()
    if not now < moment <= now + LONGEST_AHEAD:
        raise UserError(_l("Choose a moment within a year."), "not_before")
    with transaction() as session:
        (mail,) = locked_mails([mail_id])
        _demand_waiting(mail)
        move(mail, "reschedule", MailState.SCHEDULED, by)
        mail.not_before = mail.next_attempt_at = mail.due_since = moment
        mail.claim_token = mail.lease_until = mail.slot_at = mail.slot_server_id = None
        # Whoever changes it at this moment finds that somebody has decided.
        mail.edit_token = mail.edit_until = None
        mail.waits_for_server, mail.failure_kind, mail.failure_reason = False, None, ""
        session.flush()
        _let_go_at(mail)


def editor_of(mail: OutgoingMail) -> User | None:
    """Return who is changing a mail at this moment, or None."""
    if mail.edit_until is None or mail.edit_until <= clock.now() or mail.state is not MailState.SCHEDULED:
        return None
    return db.session.get(User, mail.edited_by_id) if mail.edited_by_id is not None else None


def _demand_waiting(mail: OutgoingMail) -> None:
    if mail.state is MailState.CANCELED:
        raise UserError(_l("This email was canceled meanwhile."))
    if mail.state not in CANCELABLE:
        raise UserError(_l("Too late: this email is on its way as it was, or has left."))
    if mail.accepted_count:
        raise UserError(_l("Some recipients have got this email already, so it stays as it is."))
    if not mail.changeable:
        raise UserError(_l("This email cannot be changed."))


def _is_change(mail: OutgoingMail, token: str, by: User) -> bool:
    return bool(token) and mail.edit_token == token and mail.edited_by_id == by.id


def _let_go_at(mail: OutgoingMail) -> None:
    # To the second; the sweep would find it too, a little later.
    enqueue_after_commit("outbox.release_mails", [mail.id], front=True, at=mail.next_attempt_at)
