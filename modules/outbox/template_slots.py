"""The pieces that the outbox puts into the page of a template.

The page offers `mail_config.template_actions`, among its buttons, with the keywords `template` (None for a new one)
and `kind`; and `mail_config.template_recipients`, in the preview, with `template` (in no session) and `document`.
"""

from __future__ import annotations

from flask import render_template

from core.auth.permissions import signed_in_user
from core.documents.models import Document
from modules.mail_config.models import MailTemplate
from modules.outbox.recipients import REASON_ICONS, propose, reason_text


def test_button(template: MailTemplate | None, kind: str) -> str:  # noqa: ARG001 (the keywords of the slot)
    """Return the button "Send a test to me"."""
    if not signed_in_user().can("outbox.mail.send"):
        return ""
    return render_template("outbox/panels/template_test_button.html", kind=kind)


def recipients(template: MailTemplate, document: Document) -> str:
    """Return who would get a mail of a template, and why."""
    return render_template(
        "outbox/panels/template_recipients.html",
        proposal=propose(document, template, None),
        reason_text=reason_text,
        icons=REASON_ICONS,
    )
