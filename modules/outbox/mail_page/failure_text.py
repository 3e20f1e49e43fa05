"""Why a mail, or a recipient, failed: the sentences of `core.mail` put together, who acts, what is repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from flask_babel import gettext
from sqlalchemy import func, select, true

from core.auth.models import Grant, Role, User
from core.db import db
from core.mail.advice import ADVICE, Advice
from core.mail.bounces.sentences import (
    bounce_text,
    bounce_title,
    is_about_a_later_server,
    is_true_of_any_server,
)
from core.mail.explanations import EXPLANATIONS, Actor, FailureKind, Repair
from core.mail.outcomes import RecipientState
from modules.outbox.models import MailRecipient, OutgoingMail

MAX_NAMES = 3  # recipients named in a sentence, before "and 5 more"


class Place(StrEnum):
    """The page, or the very field of it, where a failure is repaired."""

    RECIPIENT = "recipient"  # the address, on the page of the mail
    MAIL = "mail"  # a new mail with the same text
    UNCERTAIN = "uncertain"  # the question what became of it: only a person can say
    SERVER = "server"  # the form of the server
    SERVER_TEST = "server_test"  # the button that tests the server
    SERVERS = "servers"  # the list: no server is there to open
    TEMPLATE = "template"  # the form of the template
    DOCUMENT = "document"  # the page of the document
    COMPANY_EMAIL = "company_email"  # the company's address, which is missing
    # Fields of the server, by the names that its form gives them.
    HOST = "host"
    PORT = "port"
    ENCRYPTION = "encryption"
    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105 (the name of the field)
    FROM_FILTER = "from_filter"
    SIZE_LIMIT = "size_limit_mb"
    RATE = "rate_per_minute"


SERVER_FIELDS = frozenset(
    {
        Place.HOST,
        Place.PORT,
        Place.ENCRYPTION,
        Place.USERNAME,
        Place.PASSWORD,
        Place.FROM_FILTER,
        Place.SIZE_LIMIT,
        Place.RATE,
    }
)

_BY_REPAIR: Mapping[Repair, Place] = {
    Repair.RECIPIENT: Place.RECIPIENT,
    Repair.MAIL: Place.MAIL,
    Repair.SERVER: Place.SERVER,
    Repair.SERVERS: Place.SERVERS,
    Repair.TEMPLATE: Place.TEMPLATE,
    Repair.DOCUMENT: Place.DOCUMENT,
}
_BY_KIND: Mapping[FailureKind, Place] = {
    FailureKind.AUTH_FAILED: Place.PASSWORD,
    FailureKind.CONNECT_FAILED: Place.HOST,
    FailureKind.HOST_NOT_FOUND: Place.HOST,
    FailureKind.TLS_FAILED: Place.ENCRYPTION,
    FailureKind.SENDER_REFUSED: Place.FROM_FILTER,
    FailureKind.SENDER_MISSING: Place.COMPANY_EMAIL,
    FailureKind.SERVER_UNTESTED: Place.SERVER_TEST,
    FailureKind.OUTCOME_UNKNOWN: Place.UNCERTAIN,
    FailureKind.RATE_LIMITED: Place.RATE,
    FailureKind.PACED: Place.RATE,
}
_BY_ADVICE: Mapping[Advice, Place] = {
    Advice.AUTH_REQUIRED: Place.USERNAME,
    Advice.AUTH_NOT_OFFERED: Place.ENCRYPTION,
    Advice.FROM_NOT_YOURS: Place.USERNAME,
    Advice.RELAY_DENIED: Place.USERNAME,
    Advice.SENDER_DOMAIN: Place.COMPANY_EMAIL,
    Advice.STARTTLS_REQUIRED: Place.ENCRYPTION,
    Advice.CERTIFICATE_NAME: Place.HOST,
    Advice.PORT_CLOSED: Place.PORT,
    Advice.PORT_FILTERED: Place.PORT,
    Advice.DAILY_QUOTA: Place.RATE,
}


@dataclass(frozen=True, slots=True)
class Reason:
    """A failure as a person reads it.

    Attributes:
        kind: The machine-readable kind.
        title: A few words.
        text: What happened and what to do.
        advice: A finer hint, or "".
        also: Title of the other reading, where two are possible, or "".
        also_text: What that one would mean.
        actor: Who must act.
        place: Where it is repaired, or None where nothing can be repaired here.
        words: The server's own words, or "".
    """

    kind: FailureKind
    title: str
    text: str
    advice: str
    also: str
    also_text: str
    actor: Actor
    place: Place | None
    words: str


def reason_of(row: OutgoingMail | MailRecipient) -> Reason | None:
    """Return why a mail or a recipient failed or waits, or None when nothing is wrong."""
    if row.failure_kind is None:
        return None
    words = row.failure_reason if isinstance(row, OutgoingMail) else row.diagnostic
    reason = explain(row.failure_kind, row.failure_also, row.failure_advice, words)
    people = row.recipients if isinstance(row, OutgoingMail) else [row]
    bounced = any(
        person.state is RecipientState.BOUNCED and person.failure_kind is row.failure_kind
        for person in people
    )
    return _of_a_later_server(reason, row.failure_advice) if bounced else reason


def _of_a_later_server(reason: Reason, advice_name: str) -> Reason:
    """Return the reason of what came back: where it is about a server, another one than ours is meant.

    The server that had taken it has given up, so nobody tries again either.
    """
    advice = Advice(advice_name) if advice_name in Advice.__members__.values() else None
    about_it = is_about_a_later_server(reason.kind)
    return replace(
        reason,
        title=bounce_title(reason.kind),
        text=bounce_text(reason.kind),
        advice=reason.advice if is_true_of_any_server(advice) else "",
        actor=Actor.SELLER if about_it or reason.actor is Actor.NOBODY else reason.actor,
        place=Place.RECIPIENT if about_it else reason.place,
    )


def explain(kind: FailureKind, also: FailureKind | None, advice_name: str, words: str) -> Reason:
    """Return a failure in words; an advice that this version does not know is left out."""
    explanation = EXPLANATIONS[kind]
    advice = Advice(advice_name) if advice_name in Advice.__members__.values() else None
    hint = ADVICE[advice] if advice is not None else None
    other = EXPLANATIONS[also] if also is not None and also is not kind else None
    return Reason(
        kind=kind,
        title=str(explanation.title),
        text=str(explanation.text),
        advice=str(hint.text) if hint else "",
        also=str(other.title) if other else "",
        also_text=str(other.text) if other else "",
        actor=(hint.actor if hint else None) or explanation.actor,
        place=place_of(kind, advice),
        words=words,
    )


def place_of(kind: FailureKind, advice: Advice | None) -> Place | None:
    """Return where a failure is repaired: where the advice says, else where its kind is."""
    if advice is not None and advice in _BY_ADVICE:
        return _BY_ADVICE[advice]
    return _BY_KIND.get(kind) or _BY_REPAIR.get(EXPLANATIONS[kind].repair)


def actor_title(actor: Actor) -> str:
    """Return in words who must act."""
    if actor is Actor.SELLER:
        return str(gettext("The sender"))
    if actor is Actor.ADMINISTRATOR:
        return str(gettext("An administrator"))
    if actor is Actor.NO_NEED:
        return str(gettext("Nobody: it is as it should be"))
    return str(gettext("Nobody: Envoi tries again by itself"))


def who_may(permission: str) -> list[str]:
    """Return names of active users who hold a permission, a few of them, so that a page can say whom to ask."""
    holders = (
        select(User.name)
        .where(User.active == true(), User.roles.any(Role.grants.any(Grant.permission == permission)))
        .order_by(func.lower(User.name), User.id)
        .limit(MAX_NAMES)
    )
    return list(db.session.scalars(holders))
