"""How a recipient of what advertises opts out: the link, the fields of the head, the line below the text.

RFC 2369 §3.2 is the field with a web page and an address, RFC 8058 the one click by which a mail program does it for
its reader. The link names a recipient of a mail, is signed with the installation's key, and is good for ever: whoever
finds the mail years later wants it no less. It is made of the rows, so a mail has the same in every attempt.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import current_app
from flask_babel import force_locale, gettext
from itsdangerous import BadSignature, URLSafeSerializer
from markupsafe import Markup

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.registry import current_settings
from modules.outbox.models import OutgoingMail

MAILTO_SUBJECT = "unsubscribe"
"""The subject by which a message that comes to a return address says what it wants."""


class ForgedLinkError(UserError):
    """A link by which somebody would opt out that we have never made."""


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(str(current_app.config["SECRET_KEY"]), "opt out of what advertises")


def unsubscribe_link(recipient_id: int) -> str:
    """Return the address of the page on which a recipient opts out, without a sign-in."""
    token = _serializer().dumps(recipient_id)
    # By the public address: a worker knows no other, and a page must not take the name that somebody calls it by.
    path = current_app.url_map.bind("envoi.invalid").build("outbox.unsubscribe_page", {"token": token})
    return f"{current_settings().base_url}{path}"


def recipient_in(token: str) -> int:
    """Return the id of the recipient that a link names.

    Raises:
        ForgedLinkError: It was never made by us, or not whole.
    """
    try:
        recipient_id = _serializer().loads(token)
    except BadSignature as error:
        raise ForgedLinkError(
            _l("This link is not complete, or not one of ours. Copy it whole from the email.")
        ) from error
    # Signed by us, so it is what we have put in.
    return int(recipient_id)


def unsubscribe_fields(mail: OutgoingMail, return_address: str) -> dict[str, str]:
    """Return the fields by which mail programs offer to opt out; none for a mail that does not advertise.

    Args:
        mail: The mail.
        return_address: Where messages come back to with the token of this mail, or "" where nobody reads them.
    """
    if not mail.promotional:
        return {}
    (recipient,) = mail.recipients
    link = unsubscribe_link(recipient.id)
    ways = [f"<{link}>"]
    if return_address.isascii() and return_address:
        ways.append(f"<mailto:{quote(return_address, safe='@+')}?subject={MAILTO_SUBJECT}>")
    domain = mail.message_id.strip("<>").rpartition("@")[2]
    # RFC 2919: readers sort by it what is of one list, and filters distrust a list without it.
    fields = {"List-Id": f"<offers.{domain}>", "List-Unsubscribe": ", ".join(ways)}
    if link.startswith("https:"):
        fields["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058 §3.1: with HTTPS only
    return fields


def unsubscribe_line(mail: OutgoingMail) -> tuple[str, str]:
    """Return what stands below the text of a mail that advertises, as HTML and plain; "" and "" for any other."""
    if not mail.promotional:
        return "", ""
    (recipient,) = mail.recipients
    link = unsubscribe_link(recipient.id)
    with force_locale(mail.language):
        words = str(
            gettext("You receive this email since you have agreed to receive news and offers from us.")
        )
        click = str(gettext("Unsubscribe"))
    html = Markup('<p style="font-size:12px;color:#666666">{} <a href="{}">{}</a></p>')
    return str(html.format(words, link, click)), f"\n\n{words}\n{click}: {link}\n"
