"""The page on which a recipient opts out, without a sign-in: one button, which works without scripts.

Looking at it changes nothing, since programs follow the links of mails before people do. The button and the one click
of mail programs (RFC 8058) post to the same address; neither has a cookie of ours, and the link itself is the proof.
"""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import force_locale, get_locale

from core.auth.permissions import from_anywhere, public
from modules.outbox.blueprint import blueprint
from modules.outbox.models import MailRecipient
from modules.outbox.unsubscribe.service import BY_LINK, Outcome, opt_out, recipient_known
from modules.outbox.unsubscribe_links import ForgedLinkError, recipient_in


@blueprint.get("/unsubscribe/<token>")
@public
def unsubscribe_page(token: str) -> ResponseReturnValue:
    """Show the button."""
    try:
        recipient = recipient_known(recipient_in(token))
    except ForgedLinkError as error:
        return _forged(error)
    return _page(recipient, None)


@blueprint.post("/unsubscribe/<token>")
@public
@from_anywhere
def unsubscribe(token: str) -> ResponseReturnValue:
    """Opt out; RFC 8058 §3.2 wants no redirect."""
    try:
        recipient_id = recipient_in(token)
    except ForgedLinkError as error:
        return _forged(error)
    outcome = opt_out(recipient_id, BY_LINK)
    return _page(recipient_known(recipient_id), outcome)


def _forged(error: ForgedLinkError) -> ResponseReturnValue:
    return render_template("outbox/unsubscribe/page.html", problem=str(error.message)), 404


def _page(recipient: MailRecipient | None, outcome: Outcome | None) -> ResponseReturnValue:
    if recipient is None:
        return render_template("outbox/unsubscribe/page.html", outcome=Outcome.GONE)
    mail = recipient.mail
    # In the language in which they were written to; what the browser speaks, nobody has said.
    with force_locale(mail.language or str(get_locale())):
        return render_template("outbox/unsubscribe/page.html", outcome=outcome, company=mail.company)
