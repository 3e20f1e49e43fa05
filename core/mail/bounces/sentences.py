"""What a reading says to a person.

The kinds are those of every failure, and so are most sentences. But those about connections and patience are written
for our own server, which tries again by itself; a bounce comes when some server has stopped trying.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask_babel import gettext, ngettext

from core.i18n import format_date
from core.i18n import lazy_gettext as _l
from core.mail.advice import ADVICE, Advice
from core.mail.bounces.model import Action, Nature, Notice, Reading
from core.mail.explanations import EXPLANATIONS, FailureKind

MAX_TOLD = 20
"""Recipients that are named; nobody reads more."""

_NATURES = {
    Nature.BOUNCE: _l("A mail server reports that an email was not delivered."),
    Nature.DELAY: _l(
        "A mail server reports that an email is delayed. It still tries: nothing needs to be done."
    ),
    Nature.DELIVERY_RECEIPT: _l("A delivery receipt."),
    Nature.READ_RECEIPT: _l("A read receipt."),
    Nature.COMPLAINT: _l("A complaint: the recipient has marked an email as spam, or wants no more."),
    Nature.AUTO_REPLY: _l("An automatic answer, such as an out-of-office message."),
    Nature.ORDINARY: _l("An ordinary message: it reports nothing about an email."),
}
_ACTIONS = {
    Action.DELIVERED: _l("delivered to the mailbox; this does not prove that it was read."),
    Action.RELAYED: _l("passed on to a server that sends no receipts; nothing more will be heard of it."),
    Action.EXPANDED: _l("passed on to the members of a list; nothing more will be heard of it."),
    Action.DISPLAYED: _l("displayed; this does not prove that it was understood or by whom it was read."),
    Action.DELETED: _l("deleted without having been displayed."),
    Action.PROCESSED: _l("processed by a mail program; this does not prove that a person has seen it."),
    Action.DECLINED: _l("the recipient's mail program sends no read receipt."),
    Action.COMPLAINED: _l("send no more promotional emails to this address."),
}
_TITLES = {
    FailureKind.TIMEOUT: _l("Recipient's server unreachable"),
    FailureKind.CONNECT_FAILED: _l("Recipient's server unreachable"),
    FailureKind.HOST_NOT_FOUND: _l("Recipient's server unreachable"),
}
_UNREACHABLE = _l(
    "The recipient's mail server could not be reached. Check the part of the address after the @; if it is right, send "
    "the email again later."
)
_TEXTS = {
    FailureKind.TIMEOUT: _UNREACHABLE,
    FailureKind.CONNECT_FAILED: _UNREACHABLE,
    FailureKind.HOST_NOT_FOUND: _UNREACHABLE,
    FailureKind.RATE_LIMITED: _l(
        "The recipient's mail server wanted this email later, and the server that tried has given up. Send it "
        "again later."
    ),
    FailureKind.SERVER_ERROR: _l(
        "A mail server on the way could not do its work. Send the email again later; if this goes on, show the words "
        "below to your administrator."
    ),
    FailureKind.TLS_FAILED: _l(
        "The recipient's mail server accepts only encrypted connections, and none could be made. Show the words below "
        "to your administrator."
    ),
    FailureKind.AUTH_FAILED: _l(
        "A mail server does not pass on emails of your mail server. Show the words below to your administrator."
    ),
}
# These say what is so, whoever has tried; others tell what to change in our settings, or that we try again.
_TRUE_OF_ANY = {
    Advice.MAILBOX_DISABLED,
    Advice.MAILBOX_MOVED,
    Advice.DOMAIN_UNKNOWN,
    Advice.SENDER_BLOCKED,
    Advice.INTERNAL_ONLY,
    Advice.SUPPRESSED,
    Advice.FORBIDDEN_ATTACHMENT,
    Advice.VIRUS,
    Advice.MAIL_LOOP,
    Advice.MALFORMED,
    Advice.SPF,
    Advice.DKIM,
    Advice.DMARC,
    Advice.BLOCK_LIST,
    Advice.REVERSE_DNS,
    Advice.HELO_NAME,
    Advice.SENDER_DOMAIN,
}


def bounce_title(kind: FailureKind) -> str:
    """Return what a kind of failure is called where a later server has met it, not ours."""
    return str(_TITLES.get(kind, EXPLANATIONS[kind].title))


def bounce_text(kind: FailureKind) -> str:
    """Return what happened then, and what to do."""
    return str(_TEXTS.get(kind, EXPLANATIONS[kind].text))


def is_about_a_later_server(kind: FailureKind) -> bool:
    """Return True for a kind whose usual explanation speaks of our own server."""
    return kind in _TEXTS


def is_true_of_any_server(advice: Advice | None) -> bool:
    """Return True for an advice that holds whichever server has met the failure."""
    return advice in _TRUE_OF_ANY


def sentences(reading: Reading) -> Iterator[str]:
    """Yield what a message says, a sentence or two a line, in the language of the moment; the recipients last."""
    yield str(_NATURES[reading.nature])
    if reading.back_on is not None:
        yield gettext("Back on %(date)s.", date=format_date(reading.back_on, "long"))
    about = reading.about
    if about.subject:
        yield gettext("It is about the email “%(subject)s”.", subject=about.subject)
    if about.message_ids and reading.nature is not Nature.ORDINARY:
        yield gettext("Its Message-ID: %(id)s.", id=about.message_ids[0])
    if reading.reporting_mta:
        yield gettext("Reported by %(server)s.", server=reading.reporting_mta)
    for notice in reading.notices[:MAX_TOLD]:
        yield from _told(notice)
    if len(reading.notices) > MAX_TOLD:
        yield ngettext(
            "… and %(num)s other recipient.",
            "… and %(num)s other recipients.",
            len(reading.notices) - MAX_TOLD,
        )
    if reading.truncated:
        yield gettext("The message is very large; only its beginning was read.")


def _told(notice: Notice) -> Iterator[str]:
    who = notice.recipient or gettext("Unknown recipient")
    if notice.original_recipient:
        who = gettext(
            "%(recipient)s (forwarded from %(original)s)", recipient=who, original=notice.original_recipient
        )
    failure = notice.failure
    if failure is None:
        yield _line(who, _ACTIONS[notice.action])
        return
    title = bounce_title(failure.kind)
    if notice.action is Action.DELAYED:
        yield _line(who, gettext("delayed. %(reason)s.", reason=title))
    elif notice.permanent:
        yield _line(who, gettext("not delivered. %(reason)s.", reason=title))
    else:
        yield _line(who, gettext("not delivered; a later attempt may succeed. %(reason)s.", reason=title))
    if notice.action is not Action.DELAYED:
        finer = failure.advice if is_true_of_any_server(failure.advice) else None
        yield "  " + str(ADVICE[finer].text if finer is not None else bounce_text(failure.kind))
    if notice.diagnostic:
        words = " ".join(notice.diagnostic.split())
        yield "  " + gettext(
            "The server's words: %(words)s", words=words[:300] + ("…" if len(words) > 300 else "")
        )


def _line(who: str, what: object) -> str:
    return "– " + str(gettext("%(recipient)s: %(outcome)s", recipient=who, outcome=what))
