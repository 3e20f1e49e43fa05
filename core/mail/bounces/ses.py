"""What Amazon SES tells by mail through SNS: JSON, the same as its web hook sends.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

import json
from typing import Any

from core.mail.bounces.diagnosis import diagnose
from core.mail.bounces.model import About, Action, Nature, Notice, Reading
from core.mail.outcomes import printable

_BEGIN = ("notificationType", "eventType")
_LISTS = {
    "bounce": ("bouncedRecipients", Action.FAILED),
    "complaint": ("complainedRecipients", Action.COMPLAINED),
    "delivery": ("recipients", Action.DELIVERED),
    "deliverydelay": ("delayedRecipients", Action.DELAYED),
}
_NATURES = {
    Action.FAILED: Nature.BOUNCE,
    Action.COMPLAINED: Nature.COMPLAINT,
    Action.DELIVERED: Nature.DELIVERY_RECEIPT,
    Action.DELAYED: Nature.DELAY,
}


def read_ses(words: str, addressed_to: tuple[str, ...]) -> Reading | None:
    """Return what a notification says; None when the text is none."""
    text = words.strip()
    if not text.startswith("{") or not any(name in text for name in _BEGIN):
        return None
    try:
        told = _decoded(text)
        # SNS wraps it in an envelope of its own, unless it is told to deliver it raw.
        return _reading(_decoded(told["Message"]) if "Message" in told else told, addressed_to)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        # Somebody else's JSON, or SES's with something missing.
        return None


def _decoded(text: str) -> dict[str, Any]:
    # Lines are broken anywhere, as lines of mail may be.
    told = json.JSONDecoder(strict=False).raw_decode(text.replace("\n", ""))[0]
    return told if isinstance(told, dict) else {}


def _reading(told: dict[str, Any], addressed_to: tuple[str, ...]) -> Reading | None:
    about = told["mail"]
    kind = str(told.get("notificationType") or told.get("eventType")).replace(" ", "").lower()
    if kind not in _LISTS:
        return None
    name, action = _LISTS[kind]
    content = told.get("deliveryDelay") or {} if kind == "deliverydelay" else told.get(kind) or {}
    recipients = content.get(name) or about.get("destination") or []
    kind_of_bounce = f"{content.get('bounceType', '')} {content.get('bounceSubType', '')}"
    notices = [_notice(one, action, kind_of_bounce) for one in recipients]
    common = about.get("commonHeaders") or {}
    ids = (common.get("messageId"), f"<{about.get('messageId')}@email.amazonses.com>")
    return Reading(
        _NATURES[action],
        tuple(notices),
        About(
            tuple(str(one) for one in ids if one),
            sender=str(about.get("source") or ""),
            recipients=tuple(str(one) for one in about.get("destination") or ()),
            subject=str(common.get("subject") or "")[:1000],
        ),
        addressed_to,
        printable(str(content.get("reportingMTA") or "").rpartition(";")[2].strip()[:255]),
        complaint=str(content.get("complaintFeedbackType") or "abuse") if action is Action.COMPLAINED else "",
    )


def _notice(told: dict[str, Any] | str, action: Action, kind_of_bounce: str) -> Notice:
    if isinstance(told, str):
        told = {"emailAddress": told}
    address = printable(str(told["emailAddress"])[:320])
    if action not in {Action.FAILED, Action.DELAYED}:
        return Notice(address, action)
    said = str(told.get("diagnosticCode") or "").removeprefix("smtp;")
    found = diagnose([said, kind_of_bounce], str(told.get("status") or ""), delayed=action is Action.DELAYED)
    return found.notice(address, action)
