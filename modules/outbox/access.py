"""Which mails the signed-in user may open, for every page that is about one."""

from __future__ import annotations

from flask import abort

from core.auth.permissions import signed_in_user
from modules.outbox.models import OutgoingMail
from modules.outbox.queries import mail_for


def mail_or_404(mail_id: int, permission: str = "outbox.mail.read") -> OutgoingMail:
    """Return a mail within the reach of the user's permission; any other is not there."""
    return mail_for(signed_in_user(), mail_id, permission) or abort(404)
