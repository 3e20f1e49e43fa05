"""Which From, Reply-To and server a mail has, and why: by the rule while it waits, by what it kept once it has left."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext

from modules.outbox.delivery.route import rule_for
from modules.outbox.models import OutgoingMail
from modules.outbox.states import WAITING


@dataclass(frozen=True, slots=True)
class RouteText:
    """What the page of a mail says of its route.

    Attributes:
        summary: In a line.
        sentences: Why; none where there is nothing to say.
    """

    summary: str = ""
    sentences: tuple[str, ...] = ()


def route_text(mail: OutgoingMail) -> RouteText:
    """Return which way a mail leaves as things are now, or, once it has left, whether its From was another's."""
    if mail.state in WAITING:
        route = rule_for(mail)
        summary = (
            gettext("Via %(server)s, from %(address)s", server=route.server_name, address=route.header_from)
            if route.server_name
            else gettext("There is no way for it to leave yet")
        )
        return RouteText(str(summary), route.why)
    # The rule may say something else by now; the mail itself tells whose name From carries with whose address.
    name, wanted = mail.reply_to_name, mail.reply_to_address
    borrowed = bool(name and mail.sender_address) and mail.sender_name.startswith(name)
    if not borrowed or wanted.casefold() == mail.sender_address.casefold():
        return RouteText()
    why = gettext(
        "The server could not send from %(address)s, so From is %(sender)s with the name “%(name)s”, and answers go "
        "to %(address)s.",
        address=wanted,
        sender=mail.sender_address,
        name=mail.sender_name,
    )
    return RouteText(str(gettext("From was rewritten")), (str(why),))
