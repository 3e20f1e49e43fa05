"""Which mails the signed-in user may open, for every page that is about one."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import abort, request

from core.auth.permissions import signed_in_user
from modules.outbox.models import OutgoingMail
from modules.outbox.queries import mail_for

MAX_LIST_LENGTH = 2000  # characters of the address of a list


def list_come_from() -> dict[str, Any]:
    """Return the parameter `in` of a mail's page, by which it leads back to the list that it was opened from.

    What is posted from that page has it in the address that it comes from.
    """
    within = request.args.get("in")
    if within is None and request.method == "POST":
        within = dict(parse_qsl(urlsplit(request.referrer or "").query)).get("in")
    return {"in": within[:MAX_LIST_LENGTH]} if within else {}


def mail_or_404(mail_id: int, permission: str = "outbox.mail.read") -> OutgoingMail:
    """Return a mail within the reach of the user's permission; any other is not there."""
    return mail_for(signed_in_user(), mail_id, permission) or abort(404)
