"""The events that relays tell, each read as what a message would say that came back about one recipient. No I/O."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core import clock
from core.mail.bounces.diagnosis import diagnose
from core.mail.bounces.model import About, Action, Nature, Notice, Reading
from core.mail.bounces.ses import read_ses
from core.mail.outcomes import printable
from core.mail.reader import parse_date
from modules.outbox.inbound.hooks.signatures import HookRefusedError, Refusal

MAX_EVENTS = 5000
"""Of one request that are read; SendGrid sends the most, some thousands."""
MARK = "envoi_mail"
"""The custom argument, or key of metadata, by which a mail that leaves by the interface of a relay names itself: its
Message-ID without the angle brackets."""

_NATURES = {
    Action.FAILED: Nature.BOUNCE,
    Action.DELAYED: Nature.DELAY,
    Action.DELIVERED: Nature.DELIVERY_RECEIPT,
    Action.COMPLAINED: Nature.COMPLAINT,
}


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One event.

    Attributes:
        key: Names the event with this provider: the same event told again has the same.
        at: When it happened, or None where the provider does not say.
        reading: What it says.
        once: What the provider has signed for this one request, where that is not the event: good once; else "".
    """

    key: str
    at: dt.datetime | None
    reading: Reading
    once: str = ""


def decoded(body: bytes) -> Any:
    """Return the JSON of a request.

    Raises:
        HookRefusedError: It is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HookRefusedError(Refusal.MALFORMED) from error


def sendgrid_events(told: Any) -> list[HookEvent]:
    """Read what SendGrid tells: a list of events, of which openings and clicks are left alone.

    https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
    """
    actions = {
        "bounce": Action.FAILED,
        "dropped": Action.FAILED,
        "deferred": Action.DELAYED,
        "delivered": Action.DELIVERED,
        "spamreport": Action.COMPLAINED,
    }

    def read(one: Mapping[str, Any]) -> HookEvent | None:
        action = actions.get(_text(one, "event"))
        if action is None:
            return None
        # A block is a refusal of this mail, and says nothing of the address.
        permanent = None if _text(one, "type") != "blocked" else False
        return _event(
            _text(one, "sg_event_id"),
            _moment(one.get("timestamp")),
            action,
            _text(one, "email"),
            (_text(one, MARK), _text(one, "smtp-id")),
            words=(_text(one, "reason"), _text(one, "response"), _text(one, "bounce_classification")),
            status=_text(one, "status"),
            permanent=permanent,
        )

    return _read_all(told if isinstance(told, list) else [told], read)


def mailgun_events(told: Any) -> list[HookEvent]:
    """Read what Mailgun tells: one event.

    https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure
    """

    def read(one: Mapping[str, Any]) -> HookEvent | None:
        kind, severity = _text(one, "event"), _text(one, "severity")
        failed = Action.DELAYED if severity == "temporary" else Action.FAILED
        actions = {
            "failed": failed,
            "rejected": Action.FAILED,
            "delivered": Action.DELIVERED,
            "complained": Action.COMPLAINED,
        }
        if kind not in actions:
            return None
        said = _part(one, "delivery-status")
        words = (_text(said, "message"), _text(said, "description"), _text(one, "reason"))
        code = _text(said, "code")
        return _event(
            _text(one, "id"),
            _moment(one.get("timestamp")),
            actions[kind],
            _text(one, "recipient"),
            (
                _text(_part(one, "user-variables"), MARK),
                _text(_part(_part(one, "message"), "headers"), "message-id"),
            ),
            words=(
                f"{code} {words[0]}" if words[0] and not words[0].startswith(code) else words[0],
                *words[1:],
            ),
            status=_text(said, "enhanced-code"),
        )

    return _read_all([_part(told, "event-data")], read)


def postmark_events(told: Any) -> list[HookEvent]:
    """Read what Postmark tells: one record.

    https://postmarkapp.com/developer/webhooks/webhooks-overview
    """
    # Those of its types of bounces by which it sends nothing more to the address, or that an address has caused.
    passing = {
        "Transient",
        "DnsError",
        "SoftBounce",
        "Undeliverable",
        "Blocked",
        "SpamNotification",
        "Unknown",
    }
    left_alone = {"AutoResponder", "AddressChange", "Subscribe", "Unsubscribe", "OpenRelayTest"}

    def read(one: Mapping[str, Any]) -> HookEvent | None:
        kind, type_ = _text(one, "RecordType"), _text(one, "Type")
        actions = {
            "Bounce": Action.FAILED,
            "Delivery": Action.DELIVERED,
            "SpamComplaint": Action.COMPLAINED,
        }
        if kind not in actions or type_ in left_alone:
            return None
        address = _text(one, "Recipient") or _text(one, "Email")
        number = _text(one, "ID") or f"{_text(one, 'MessageID')} {address}"
        return _event(
            f"{kind} {number}",
            _moment(_text(one, "BouncedAt") or _text(one, "DeliveredAt")),
            Action.COMPLAINED if type_ == "SpamComplaint" else actions[kind],
            address,
            (_text(_part(one, "Metadata"), MARK),),
            words=(_text(one, "Details"), _text(one, "Description"), type_),
            permanent=False if type_ in passing else None,
        )

    return _read_all([told], read)


def brevo_events(told: Any) -> list[HookEvent]:
    """Read what Brevo tells: one event, or several where it is told to bundle them.

    https://developers.brevo.com/docs/transactional-webhooks
    """
    actions = {
        "hard_bounce": Action.FAILED,
        "soft_bounce": Action.FAILED,
        "invalid_email": Action.FAILED,
        "blocked": Action.FAILED,
        "error": Action.FAILED,
        "deferred": Action.DELAYED,
        "delivered": Action.DELIVERED,
        "spam": Action.COMPLAINED,
        "complaint": Action.COMPLAINED,
    }

    def read(one: Mapping[str, Any]) -> HookEvent | None:
        kind = _text(one, "event").lower()
        action = actions.get(kind)
        if action is None:
            return None
        address, message_id = _text(one, "email"), _text(one, "message-id")
        at = _moment(one.get("ts_event") or one.get("ts"))
        return _event(
            f"{kind} {message_id} {address} {at.isoformat() if at else ''}",
            at,
            action,
            address,
            (message_id,),
            words=(_text(one, "reason"), kind.replace("_", " ")),
            permanent={"hard_bounce": True, "invalid_email": True, "soft_bounce": False}.get(kind),
        )

    return _read_all(told if isinstance(told, list) else [told], read)


def ses_events(envelope: Mapping[str, Any]) -> list[HookEvent]:
    """Read what SES tells in an envelope of SNS; several recipients of one notification are one event."""
    reading = read_ses(json.dumps(dict(envelope)), ())
    if reading is None:
        return []
    return [HookEvent(_text(envelope, "MessageId"), _moment(_text(envelope, "Timestamp")), reading)]


def _read_all(told: list[Any], read: Callable[[Mapping[str, Any]], HookEvent | None]) -> list[HookEvent]:
    if len(told) > MAX_EVENTS:
        raise HookRefusedError(Refusal.MALFORMED)

    def each() -> Iterator[HookEvent]:
        for one in told:
            if not isinstance(one, dict):
                raise HookRefusedError(Refusal.MALFORMED)
            event = read(one)
            if event is not None:
                yield event

    return list(each())


def _event(
    key: str,
    at: dt.datetime | None,
    action: Action,
    address: str,
    message_ids: tuple[str, ...],
    *,
    words: tuple[str, ...] = (),
    status: str = "",
    permanent: bool | None = None,
) -> HookEvent | None:
    """Return an event about one recipient; None where it names nobody, or cannot be told from others."""
    address = printable(address.strip())[:320]
    if not key.strip() or "@" not in address:
        return None
    if action in {Action.FAILED, Action.DELAYED}:
        found = diagnose([one for one in words if one], status, delayed=action is Action.DELAYED)
        notice = found.notice(address, action)
        if permanent is not None and action is Action.FAILED:
            notice = replace(notice, permanent=permanent)
    else:
        notice = Notice(address, action)
    ids = tuple(f"<{one.strip().strip('<>')}>" for one in message_ids if one.strip().strip("<>"))
    complaint = "abuse" if action is Action.COMPLAINED else ""
    reading = Reading(_NATURES[action], (notice,), About(tuple(dict.fromkeys(ids))), complaint=complaint)
    return HookEvent(key, at, reading)


def _part(told: Any, name: str) -> Mapping[str, Any]:
    part = told.get(name) if isinstance(told, dict) else None
    return part if isinstance(part, dict) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return str(value).replace("\0", "")[:8000] if isinstance(value, str | int | float) else ""


def _moment(value: Any) -> dt.datetime | None:
    """Return a moment as providers write it: seconds since 1970, ISO 8601, or as in mail; None for none."""
    try:
        if isinstance(value, int | float) or (isinstance(value, str) and value.replace(".", "", 1).isdigit()):
            return dt.datetime.fromtimestamp(float(value), dt.UTC)
        return clock.in_utc(dt.datetime.fromisoformat(str(value)))
    except (ValueError, OverflowError, OSError):
        return parse_date(str(value)) if value else None
