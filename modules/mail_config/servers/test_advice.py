"""The sentences that a person is shown when the test of a server has failed.

The explanations of `core.mail` speak of a mail that waits, is tried again or can be corrected; a test is tried by
the person who sits before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import lazy_gettext as _l
from core.mail.advice import ADVICE, Advice
from core.mail.explanations import EXPLANATIONS, FailureKind
from core.mail.outcomes import Failure

_KINDS: Mapping[FailureKind, object] = {
    FailureKind.ADDRESS_INVALID: _l("The address of the test is not valid. Test again with another."),
    FailureKind.RECIPIENT_UNKNOWN: _l(
        "The server works as far as here, but the address of the test does not exist. Test again with another."
    ),
    FailureKind.MAILBOX_FULL: _l(
        "The server works as far as here, but the mailbox of the test is full. Test again with another address."
    ),
    FailureKind.RECIPIENT_REFUSED: _l(
        "The server does not accept email for the address of the test. Its own words below say why. If they ask for "
        "a sign-in, give user name and password."
    ),
    FailureKind.RATE_LIMITED: _l(
        "The server asks to come back later: it gets too much at once, or lets unknown senders wait. Test again in "
        "some minutes."
    ),
    FailureKind.CONNECT_FAILED: _l(
        "No connection to the server could be made. It may be down, or host, port or firewall may be wrong."
    ),
    FailureKind.TIMEOUT: _l(
        "The server did not answer in time. Test again; if that does not help, check host, port and firewall."
    ),
    FailureKind.MESSAGE_REFUSED: _l("The server refused the test email. Its own words below say why."),
    FailureKind.OUTCOME_UNKNOWN: _l(
        "The connection ended after the test email had been handed over. Look whether it has come, then test again."
    ),
}
_ADVICE: Mapping[Advice, object] = {
    Advice.AUTH_TEMPORARY: _l("The server could not check the sign-in just now. Test again in some minutes."),
    Advice.DAILY_QUOTA: _l("The account has sent as much as its provider allows for now. Test again later."),
    Advice.GREYLISTED: _l("The server lets unknown senders wait for some minutes. Test again then."),
    Advice.TOO_MANY_RECIPIENTS: _l(
        "The server takes no more recipients just now. Test again in some minutes."
    ),
    Advice.RECIPIENT_BUSY: _l(
        "The mailbox of the test gets too much email just now. Test with another address."
    ),
    Advice.SYSTEM_FULL: _l("The server has no room or strength left just now. Test again in some minutes."),
    Advice.MAILBOX_DISABLED: _l(
        "The mailbox of the test exists no longer, or is switched off. Test again with another."
    ),
}


def sentences(failure: Failure) -> list[str]:
    """Return what the failure of a test means and what to do, in one or two sentences."""
    said = _KINDS.get(failure.kind) or EXPLANATIONS[failure.kind].text
    if failure.advice is None:
        return [str(said)]
    return [str(said), str(_ADVICE.get(failure.advice) or ADVICE[failure.advice].text)]
