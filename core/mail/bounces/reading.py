"""From the octets of a message that came in to what it is, and what it says about whom."""

from __future__ import annotations

import re
from dataclasses import replace

from core.mail.bounces import answers, free_text
from core.mail.bounces.diagnosis import diagnose
from core.mail.bounces.message import (
    about_of,
    addressed_to_of,
    addresses_in,
    addresses_of,
    returned_head,
    words_of,
)
from core.mail.bounces.model import Action, Nature, Notice, Reading
from core.mail.bounces.origin import FAILED_FIELDS, is_from_a_daemon, is_from_a_server, is_passed_on
from core.mail.bounces.parts import MAX_OCTETS, Fields, Part, read_parts
from core.mail.bounces.reports import (
    DeliveryReport,
    address_in,
    complaint_fields,
    delivery_notices,
    disposition_notices,
    read_delivery_status,
    server_in,
)
from core.mail.bounces.ses import read_ses
from core.mail.reader import parse_date

MAX_FORWARDS = 3

_COMPLAINT = re.compile(
    r"^\W*(?:complaint about message|abuse report|spam report|feedback loop)", re.IGNORECASE
)
_STATUS_FIELDS = re.compile(
    r"^[ \t>]*(?:final-recipient|original-recipient)[ \t]*:[^\n]*@", re.IGNORECASE | re.MULTILINE
)
_STATUS_BEGIN = re.compile(
    r"^[ \t>]*(?:reporting-mta|original-envelope-id|final-recipient|original-recipient|action|status)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)


def read(octets: bytes) -> Reading:
    """Say what a message is, and what it says about whom.

    Args:
        octets: The message as it was received: of any form, also broken, of any size. Nothing in it is trusted.

    Returns:
        The reading. That it is about a mail of ours is for the caller to find out: see `About`.
    """
    reading = _read(read_parts(octets), 0)
    return replace(reading, truncated=True) if len(octets) > MAX_OCTETS else reading


def _read(message: Part, depth: int) -> Reading:
    return (
        _report(message)
        or _forwarded(message, depth)
        or _free_text(message)
        or _answer(message)
        or Reading(
            Nature.ORDINARY,
            about=about_of(message, Fields()),
            addressed_to=addressed_to_of(message.fields),
        )
    )


def _report(message: Part) -> Reading | None:
    """Read what was written for programs, unless a person passes it on."""
    if message.media_type != "multipart/report" and is_passed_on(message.fields):
        return None
    return (
        read_ses(_first_words(message), addressed_to_of(message.fields))
        or _complaint(message)
        or _read_receipt(message)
        or _delivery_report(message)
    )


def _first_words(message: Part) -> str:
    return message.text() if not message.parts and message.body.lstrip()[:1] in {b"{", b"e"} else ""


# ------------------------------------------------------------------------------------------- reports for programs


def _first(message: Part, *media_types: str) -> Part | None:
    return next((part for part in message.walk() if part.media_type in media_types), None)


def _complaint(message: Part) -> Reading | None:
    report = _first(message, "message/feedback-report")
    if report is None:
        return _bare_complaint(message)
    fields, returned = complaint_fields(report), returned_head(message)
    named = [
        address_in(value) for value in fields.every("original-rcpt-to") + fields.every("removal-recipient")
    ]
    recipients = [address for address in named if "@" in address] or addresses_of(returned, "to")
    kind = fields.first("feedback-type").lower()[:40]
    return Reading(
        Nature.COMPLAINT,
        tuple(Notice(address, Action.COMPLAINED) for address in dict.fromkeys(recipients or [""])),
        about_of(message, returned, envelope_id=fields.first("original-envelope-id")),
        addressed_to_of(message.fields),
        server_in(fields.first("reporting-mta")),
        complaint=kind or "abuse",
    )


def _bare_complaint(message: Part) -> Reading | None:
    """Read a complaint of the providers that send no report: Microsoft's (JMRP), and Apple's wish to be taken off."""
    fields, returned = message.fields, returned_head(message)
    if fields.first("x-hmxmroriginalrecipient"):
        returned = fields  # our own message, sent back as it is
    if fields.first("x-apple-unsubscribe"):
        kind, recipients = "opt-out", addresses_of(fields, "from")
    elif returned and (
        _COMPLAINT.search(fields.first("subject")) or returned.first("x-hmxmroriginalrecipient")
    ):
        kind = "abuse"
        recipients = addresses_of(returned, "x-hmxmroriginalrecipient") or addresses_of(returned, "to")
    else:
        return None
    notices = tuple(Notice(address, Action.COMPLAINED) for address in recipients[:1])
    return Reading(
        Nature.COMPLAINT, notices, about_of(message, returned), addressed_to_of(fields), complaint=kind
    )


def _read_receipt(message: Part) -> Reading | None:
    report = _first(message, "message/disposition-notification")
    if report is None:
        return None
    notices, ids = disposition_notices(report)
    about = about_of(message, returned_head(message), first_ids=ids)
    return Reading(Nature.READ_RECEIPT, tuple(notices), about, addressed_to_of(message.fields))


def _delivery_report(message: Part) -> Reading | None:
    part = _first(message, "message/delivery-status", "message/global-delivery-status")
    words = words_of(message) if part is not None or is_from_a_server(message) else ""
    report = read_delivery_status(part.octets) if part is not None else _report_in(words)
    if report is None or not report.groups:
        return None
    split = free_text.split_returned(words)
    notices = delivery_notices(report, split.words)
    returned = returned_head(message) or split.returned
    envelope_id = report.fields.first("original-envelope-id")
    return Reading(
        _nature(notices),
        tuple(_named(notices, message, split.words, returned)),
        about_of(message, returned, envelope_id=envelope_id),
        addressed_to_of(message.fields),
        server_in(report.fields.first("reporting-mta")),
        truncated=report.truncated,
    )


def _report_in(words: str) -> DeliveryReport | None:
    """Read a report that has lost its part: the boundary is missing, or somebody has made plain text of it."""
    if _STATUS_FIELDS.search(words) is None:
        return None
    begin = _STATUS_BEGIN.search(words)
    lines = words[begin.start() if begin is not None else 0 :].split("\n")
    return read_delivery_status(
        "\n".join(re.sub(r"^[ \t]{0,8}>[> \t]{0,8}", "", line) for line in lines).encode()
    )


def _named(notices: list[Notice], message: Part, words: str, returned: Fields) -> list[Notice]:
    """Return the notices, that of a report without a recipient with the one that its text names."""
    if len(notices) != 1 or "@" in notices[0].recipient[1:]:
        return notices
    told = _told_of(message, words, returned)
    return [replace(notices[0], recipient=told[0].recipient)] if len(told) == 1 else notices


def _nature(notices: list[Notice]) -> Nature:
    actions = {notice.action for notice in notices}
    if Action.FAILED in actions:
        return Nature.BOUNCE
    return Nature.DELAY if Action.DELAYED in actions else Nature.DELIVERY_RECEIPT


# ----------------------------------------------------------------------------------------------------- free text


def _free_text(message: Part) -> Reading | None:
    fields = message.fields
    if not is_from_a_server(message):
        return None
    words = words_of(message)
    split = free_text.split_returned(words)
    said = f"{fields.first('subject')}\n{split.words}"
    if not free_text.says_failure(said):
        return None
    returned = returned_head(message) or split.returned
    notices = _told_of(message, split.words, returned)
    if not notices and is_from_a_daemon(fields):
        # It names nobody; the address that it came to may still tell whom it means.
        delayed = free_text.is_delay(fields.first("subject"), split.words)
        action = Action.DELAYED if delayed else Action.FAILED
        notices = [diagnose([split.words], delayed=delayed).notice("", action)]
    if not notices:
        return None
    nature = Nature.DELAY if notices[0].action is Action.DELAYED else Nature.BOUNCE
    return Reading(nature, tuple(notices), about_of(message, returned), addressed_to_of(fields))


def _told_of(message: Part, words: str, returned: Fields) -> list[Notice]:
    fields = message.fields
    named = [
        address for name in FAILED_FIELDS for value in fields.every(name) for address in addresses_in(value)
    ]
    senders = {
        *addressed_to_of(fields),
        *addresses_in(fields.first("from")),
        *addresses_of(returned, "from", "return-path", "sender", "reply-to"),
    }
    to = addresses_of(returned, "to", "cc")
    not_meant = {address.lower() for address in senders} - {address.lower() for address in named}
    return free_text.free_notices(words, fields.first("subject"), named, to, not_meant)


# --------------------------------------------------------------------------------------------- forwarded, answered


def _forwarded(message: Part, depth: int) -> Reading | None:
    """Read a report that was forwarded without a word: a program has done so."""
    inner = next(
        (part for part in message.walk() if part.media_type in {"message/rfc822", "message/global"}), None
    )
    if inner is None or not inner.parts or depth >= MAX_FORWARDS or not _is_report(inner.parts[0]):
        return None
    words = words_of(message).strip()
    if len(words) > 20 and not (is_from_a_server(message) and not _names_somebody(words, message)):
        return None
    reading = _read(inner.parts[0], depth + 1)
    if reading.nature in {Nature.ORDINARY, Nature.AUTO_REPLY}:
        return None
    return replace(reading, addressed_to=(*addressed_to_of(message.fields), *reading.addressed_to))


def _is_report(message: Part) -> bool:
    return _first(
        message, "message/delivery-status", "message/feedback-report"
    ) is not None or is_from_a_server(message)


def _names_somebody(words: str, message: Part) -> bool:
    own = {
        address.lower()
        for address in (*addressed_to_of(message.fields), *addresses_of(message.fields, "from"))
    }
    return any(address.lower() not in own for address in addresses_in(words))


def _answer(message: Part) -> Reading | None:
    fields = message.fields
    if not answers.is_automatic(fields):
        return None
    sent = parse_date(fields.first("date"))
    text = f"{fields.first('subject')}\n\n{words_of(message)}"
    return Reading(
        Nature.AUTO_REPLY,
        about=about_of(message, Fields()),
        addressed_to=addressed_to_of(fields),
        back_on=answers.back_on(text, sent.date() if sent is not None else None),
    )
