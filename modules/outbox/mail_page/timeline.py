"""The life of a mail as a story: what was done to it, by whom and when, with every attempt to deliver it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from core.db import db
from core.i18n import lazy_gettext as _l
from modules.mail_config.transports.receipts import OFFERED_NONE
from modules.outbox.models import DeliveryAttempt, MailEvent, OutgoingMail
from modules.outbox.states import STATE_TONES, MailState
from modules.outbox.unsubscribe.service import HAS_OPTED_OUT

MAX_STEPS = 300  # read for one page; a mail that waited for days has more
# By which clocks of two hosts may differ, when steps and attempts are put in order.
_CLOCKS_DIFFER = dt.timedelta(seconds=2)


@dataclass(slots=True)
class Step:
    """One step of the story.

    Attributes:
        at: When, exactly.
        title: What happened, in words.
        who: The person, or what acted in their place; "" where nobody knows.
        tone: As the badge macro knows it.
        icon: Name of the icon.
        detail: What else was recorded.
        attempts: The attempts that led to it, oldest first.
    """

    at: dt.datetime
    title: str
    who: str = ""
    tone: str = "neutral"
    icon: str = "circle"
    detail: str = ""
    attempts: list[DeliveryAttempt] = field(default_factory=list)


_BY_OUTCOME: Mapping[tuple[str, MailState], Any] = {
    ("submit", MailState.QUEUED): _l("Send pressed"),
    ("submit", MailState.SCHEDULED): _l("Send pressed"),
    ("settle", MailState.SENT): _l("Accepted for every recipient"),
    ("settle", MailState.PARTIAL): _l("Accepted for some recipients, not for others"),
    ("settle", MailState.FAILED): _l("Failed: nobody has got it"),
    ("settle", MailState.DEFERRED): _l("Could not leave yet; it waits"),
    ("settle", MailState.UNCERTAIN): _l("Handed over, but the server never said whether it took it"),
    ("lose", MailState.QUEUED): _l("The sending process stopped before sending; the email is queued again"),
    ("lose", MailState.UNCERTAIN): _l("The sending process stopped while the message was going out"),
    ("doubt", MailState.UNCERTAIN): _l(
        "Set aside after a restore: it may have been sent after the backup was made"
    ),
    ("cancel", MailState.CANCELED): _l("Canceled"),
    ("cancel", MailState.PARTIAL): _l("Given up for those who had not got it"),
    ("mark", MailState.SENT): _l("Marked as sent"),
    ("mark", MailState.PARTIAL): _l("Marked: not everybody has got it"),
    ("mark", MailState.FAILED): _l("Marked as not received"),
    ("report", MailState.SENT): _l("Has arrived after all, says a server"),
}
_BY_VERB: Mapping[str, Any] = {
    "claim": _l("Taken by a sending process"),
    "unmark": _l("Taken back: nobody knows again whether it has arrived"),
    "dismiss": _l("Failure dismissed: nothing has to be done"),
    "undismiss": _l("Dismissal taken back"),
    "edit": _l("Opened to be changed"),
    "put_back": _l("Left as it was"),
    "replace": _l("Changed: another email has taken its place"),
    "reschedule": _l("Moved to another time"),
    "return": _l("Queued again by a sending process that ended"),
    "resend": _l("Put on the queue again"),
    "correct": _l("Address corrected"),
    "erase": _l("Contents erased"),
    "report": _l("Came back: it could not be delivered"),
    "delayed": _l("Delayed: a server on the way still tries"),
    "delivered": _l("Delivery receipt"),
    "relayed": _l("Passed on to a server that sends no delivery receipts"),
    "expanded": _l("Passed on to several addresses"),
    "displayed": _l("Read receipt: displayed"),
    "deleted": _l("Read receipt: deleted without having been displayed"),
    "processed": _l("Read receipt: handled by a program"),
    "declined": _l("The reader’s program sends no read receipt"),
    "complained": _l("Reported as unwanted by the recipient"),
    "unsubscribed": _l("The recipient has unsubscribed from promotional emails"),
    "ordinary": _l("Answered"),
    "auto_reply": _l("Automatic answer"),
}
_REMARKS: Mapping[str, Any] = {
    OFFERED_NONE: _l("Sent without asking for a delivery receipt: the server offers none."),
    HAS_OPTED_OUT: _l("The recipient has unsubscribed."),
}
"""Details of events that the record keeps in English, by their translation."""
_ICONS: Mapping[str, str] = {
    "submit": "envelope-plus",
    "claim": "arrow-right-circle",
    "return": "arrow-return-left",
    "release": "box-arrow-up",
    "resend": "arrow-clockwise",
    "correct": "pencil",
    "edit": "pencil",
    "put_back": "arrow-return-left",
    "replace": "arrow-right-square",
    "reschedule": "clock",
    "erase": "eraser",
    "mark": "person-check",
    "unmark": "arrow-counterclockwise",
    "dismiss": "archive",
    "undismiss": "arrow-counterclockwise",
    "report": "reply-fill",
    "delayed": "clock-history",
    "delivered": "check2-all",
    "displayed": "eye",
    "complained": "flag",
    "unsubscribed": "person-dash",
    "ordinary": "chat-left-text",
    "auto_reply": "calendar-x",
}


def story_of(mail: OutgoingMail) -> list[Step]:
    """Return the steps of a mail's life, oldest first; of a very long one, the newest."""
    events = db.session.scalars(
        select(MailEvent)
        .where(MailEvent.mail_id == mail.id)
        .options(joinedload(MailEvent.by_user))
        .order_by(MailEvent.id.desc())
        .limit(MAX_STEPS)
    ).all()
    attempts = db.session.scalars(
        select(DeliveryAttempt)
        .where(DeliveryAttempt.mail_id == mail.id)
        .order_by(DeliveryAttempt.id.desc())
        .limit(MAX_STEPS)
    ).all()
    return tell(list(reversed(events)), list(reversed(attempts)))


def tell(events: list[MailEvent], attempts: list[DeliveryAttempt]) -> list[Step]:
    """Merge events and attempts, both oldest first: an attempt belongs to the next step that ended it.

    An attempt without such a step (its record is older than the events) is a step of its own.
    """
    left = list(attempts)
    steps: list[Step] = []
    for event in events:
        step = _step(event)
        if event.verb == "settle":
            while left and left[0].ended_at <= event.at + _CLOCKS_DIFFER:
                attempt = left.pop(0)
                if attempt.ended_at < event.at - _CLOCKS_DIFFER and _is_alone(attempt, events):
                    steps.append(_attempt_alone(attempt))
                else:
                    step.attempts.append(attempt)
        steps.append(step)
    steps += [_attempt_alone(attempt) for attempt in left]
    return sorted(steps, key=lambda step: step.at)


def _is_alone(attempt: DeliveryAttempt, events: list[MailEvent]) -> bool:
    """Return True for an attempt before whose end no worker is known to have taken the mail."""
    return not any(event.verb == "claim" and event.at <= attempt.ended_at for event in events)


def _attempt_alone(attempt: DeliveryAttempt) -> Step:
    tone, icon = STATE_TONES[attempt.outcome]
    title = _BY_OUTCOME.get(("settle", attempt.outcome)) or gettext("Attempt")
    return Step(attempt.started_at, str(title), tone=tone, icon=icon, attempts=[attempt])


def _step(event: MailEvent) -> Step:
    person = event.by_user.name if event.by_user is not None else ""
    tone, icon = (
        STATE_TONES[event.after]
        if event.verb in {"settle", "lose", "doubt", "cancel", "mark", "report"}
        else ("neutral", "")
    )
    return Step(
        at=event.at,
        title=_title(event, bool(person)),
        who=person or event.actor,
        tone=tone,
        icon=_ICONS.get(event.verb) or icon or "circle",
        detail=str(_REMARKS.get(event.detail, event.detail)),
    )


def _title(event: MailEvent, by_person: bool) -> str:
    if event.verb == "release":
        if by_person:
            return str(gettext("Released"))
        if event.before is MailState.SCHEDULED:
            return str(gettext("Scheduled time reached; queued"))
        return str(gettext("Its waiting is over; on the queue"))
    title = _BY_OUTCOME.get((event.verb, event.after)) or _BY_VERB.get(event.verb)
    return str(title) if title is not None else event.verb
