"""Reports that programs read: delivery (RFC 3464), disposition (RFC 8098), complaints (RFC 5965)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from core.mail.bounces.diagnosis import Diagnosis, diagnose
from core.mail.bounces.message import ADDRESS
from core.mail.bounces.model import Action, Notice
from core.mail.bounces.parts import FIELD, MAX_VALUE_OCTETS, Fields, Part, fields_of
from core.mail.outcomes import printable

MAX_RECIPIENTS = 100_000
"""About which a report is read; more than any mail of ours can have."""
MAX_LOOKED_UP = 200
"""Recipients for whom the text for people is looked through as well; with more, their fields must do."""
MAX_DIAGNOSES = 2000
"""Different words that are translated; what a report says beyond is read by its codes alone."""

_ACTIONS = {
    "failed": Action.FAILED,
    "failure": Action.FAILED,
    "fail": Action.FAILED,
    "error": Action.FAILED,
    "expired": Action.FAILED,
    "bounced": Action.FAILED,
    "delayed": Action.DELAYED,
    "deferred": Action.DELAYED,
    "delivered": Action.DELIVERED,
    "deliverable": Action.DELIVERED,
    "delivered-and-relayed": Action.RELAYED,
    "relayed": Action.RELAYED,
    "expanded": Action.EXPANDED,
    "expand": Action.EXPANDED,
}
_DISPOSITIONS = {
    "displayed": Action.DISPLAYED,
    "deleted": Action.DELETED,
    "denied": Action.DECLINED,
    "failed": Action.DECLINED,
}
_ANOTHER = re.compile(rf"\n[ \t<]{{0,8}}({ADDRESS.pattern})")
_NUMBERS = re.compile(r"\d+")
_COMMENT = re.compile(r"\(([^()]{4,300})\)\s*$")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})")
# Exim calls both "delivered", and says in words alone that it knows only of another server.
_HANDED_ON = re.compile(r"\(relayed to non-?DSN", re.IGNORECASE)
_ABOUT_RECIPIENT = {"final-recipient", "original-recipient", "action", "status"}


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """The content of a message/delivery-status."""

    fields: Fields
    groups: tuple[Fields, ...]
    truncated: bool


def read_delivery_status(octets: bytes) -> DeliveryReport:
    """Return the fields of the message, and those of each recipient (RFC 3464 §2.1)."""
    groups = list(islice(_groups(octets), MAX_RECIPIENTS + 2))
    about_message = Fields()
    if groups and not _ABOUT_RECIPIENT & {name for name, _ in groups[0].items}:
        about_message = groups.pop(0)
    elif groups:
        about_message = groups[0]
    told = tuple(group for group in groups if _ABOUT_RECIPIENT & {name for name, _ in group.items})
    return DeliveryReport(about_message, told[:MAX_RECIPIENTS], len(told) > MAX_RECIPIENTS)


def _groups(octets: bytes) -> Iterator[Fields]:
    """Yield the fields between blank lines; a line that is neither a field nor goes on with one is passed over."""
    raw: list[tuple[str, bytearray]] = []
    for line in octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if not line.strip():
            yield from _one_each(raw)
            raw = []
        elif line[:1] in b" \t" and raw:
            if len(raw[-1][1]) < MAX_VALUE_OCTETS:
                raw[-1][1].extend(b" " + line.strip())
        elif (match := FIELD.match(line)) is not None:
            raw.append((match[1].decode("ascii").lower(), bytearray(match[2])))
    yield from _one_each(raw)


def _one_each(raw: list[tuple[str, bytearray]]) -> Iterator[Fields]:
    """Part the groups of servers that write them without a blank line."""
    items: list[tuple[str, bytearray]] = []
    seen: set[str] = set()
    for name, value in raw:
        if name == "final-recipient" and name in seen:
            yield fields_of(items)
            items, seen = [], set()
        items.append((name, value))
        seen.add(name)
    if items:
        yield fields_of(items)


def typed_value(value: str) -> str:
    """Return a value without its type: `rfc822; ann@example.com`, `dns; mx.example.com` (RFC 3464 §2.1.2)."""
    kind, separator, rest = value.partition(";")
    return (rest if separator and "@" not in kind and len(kind.split()) <= 1 else value).strip()


def address_in(value: str) -> str:
    """Return the first address in a value, or what stands there where none does."""
    text = typed_value(value)
    if "+" in text and "@" not in text and "=" not in text:
        # xtext (RFC 3461 §4).
        text = re.sub(r"\+([0-9A-F]{2})", lambda digits: chr(int(digits[1], 16)), text)
    match = ADDRESS.search(text[:2000])
    if match is None:
        return printable(text.strip("<> ")[:320])
    address = match.group()
    return printable(address if '"' in address else address.strip("'").rstrip("."))


def server_in(value: str) -> str:
    """Return the name of a server, as a report names it."""
    return printable(typed_value(value).strip("<> ")[:255])


def delivery_notices(report: DeliveryReport, words: str) -> list[Notice]:
    """Return a notice for each recipient of a report.

    Args:
        report: The fields.
        words: The text for people that stands before them, which often says more.
    """
    diagnoses = _Diagnoses(words, alone=len(report.groups) == 1, many=len(report.groups) > MAX_LOOKED_UP)
    notices = [_delivery_notice(group, diagnoses) for group in report.groups]
    # A group may hold nothing but what others say of somebody.
    return [notice for notice in notices if notice.recipient] or notices[:1]


class _Diagnoses:
    """Diagnoses of a report, made once for all recipients of whom the same is said."""

    def __init__(self, words: str, *, alone: bool, many: bool) -> None:
        self.words = words
        self.alone = alone
        self.many = many
        self.known: dict[tuple[str, ...], Diagnosis] = {}

    def handed_on(self, recipient: str) -> bool:
        """Tell whether the text says that another server has taken the mail for a recipient, and no more."""
        if self.many or not recipient:
            return False
        return _HANDED_ON.search(words_about(self.words, recipient)) is not None

    def of(self, said: str, comment: str, recipient: str, status: str, *, delayed: bool) -> Diagnosis:
        if not self.many:
            nearby = [words_about(self.words, recipient)] if recipient else []
            texts = [said, comment, *nearby, *([self.words] if self.alone else [])]
            return diagnose(texts, status, delayed=delayed)
        # The codes stand first; numbers and addresses in the words differ from recipient to recipient.
        key = (
            said[:10],
            _NUMBERS.sub("0", said[10:].replace(recipient, "")),
            comment[:60],
            status,
            str(delayed),
        )
        if key not in self.known and len(self.known) >= MAX_DIAGNOSES:
            said, key = said[:10], (said[:10], "", "", status, str(delayed))
        if key not in self.known:
            self.known[key] = diagnose([said, comment], status, delayed=delayed)
        found = self.known[key]
        reply = found.failure.reply
        own = replace(reply, text=printable(said)) if reply is not None else None
        return replace(found, diagnostic=printable(said), failure=replace(found.failure, reply=own))


def _delivery_notice(group: Fields, diagnoses: _Diagnoses) -> Notice:
    final, original = (
        address_in(group.first("final-recipient")),
        address_in(group.first("original-recipient")),
    )
    recipient = _recipient(group, final, original)
    match = _STATUS.search(group.first("status"))
    status = match.group() if match is not None else ""
    said = _without_type(" ".join(group.every("diagnostic-code")))
    action = _action(group.first("action"), status)
    remote = server_in(group.first("remote-mta"))
    told_to = original if original != recipient else ""
    if action is Action.DELIVERED and diagnoses.handed_on(recipient):
        action = Action.RELAYED
    if action in {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}:
        return Notice(recipient, action, None, None, status, 0, printable(said), told_to, remote)
    comment = _COMMENT.search(group.first("status")[:1000])
    found = diagnoses.of(
        said,
        comment[1] if comment is not None else "",
        recipient,
        "" if status.startswith("2") else status,
        delayed=action is Action.DELAYED,
    )
    return found.notice(
        recipient,
        action,
        original_recipient=told_to,
        remote_mta=remote,
        retry_until=printable(group.first("will-retry-until")[:100]),
    )


def _recipient(group: Fields, final: str, original: str) -> str:
    recipient = final if "@" in final[1:] else original if "@" in original[1:] else ""
    if "." not in recipient.rpartition("@")[2] and "." in original.rpartition("@")[2]:
        # A name that holds only inside, such as `ann@store3`.
        return original
    if not recipient:
        # Sendmail's own field; else what stands there, such as a telephone number.
        actual = address_in(group.first("x-actual-recipient"))
        return actual if "@" in actual[1:] else final.lstrip("@") or original
    return recipient


def _without_type(said: str) -> str:
    kind, separator, rest = said.partition(";")
    return rest.strip() if separator and re.fullmatch(r"[\w.-]{1,30}", kind.strip()) else said


def _action(value: str, status: str) -> Action:
    word = value.strip().lower().partition(" ")[0].rstrip(";,.")
    if word in _ACTIONS:
        return _ACTIONS[word]
    if status.startswith("2"):
        return Action.DELIVERED
    return Action.FAILED


def words_about(text: str, recipient: str) -> str:
    """Return what a text says of a recipient: from the line that names it to the one that names another."""
    start = text.lower().find(recipient.lower())
    if start < 0:
        return ""
    begin = text.rfind("\n", 0, start) + 1
    end = start + len(recipient)
    words = text[end : end + 3000]
    another = next(
        (match for match in _ANOTHER.finditer(words) if match[1].lower() != recipient.lower()), None
    )
    words = words[: another.start()] if another is not None else words
    paragraphs = re.split(r"\n[ \t]*\n", words, maxsplit=2)
    if len(paragraphs) > 1 and not paragraphs[0].strip(" >:*.\n"):
        paragraphs = [" ".join(paragraphs[:2])]
    return text[max(begin, start - 1000) : end] + paragraphs[0]


def disposition_notices(part: Part) -> tuple[list[Notice], tuple[str, ...]]:
    """Return what a read receipt says, and the Message-ID that it names."""
    fields = Fields(tuple(item for group in _groups(part.octets) for item in group.items))
    final, original = (
        address_in(fields.first("final-recipient")),
        address_in(fields.first("original-recipient")),
    )
    word = re.split(r"[/,\s]", fields.first("disposition").rpartition(";")[2].strip().lower(), maxsplit=1)[0]
    action = _DISPOSITIONS.get(word, Action.PROCESSED)
    ids = tuple(value for value in fields.every("original-message-id") if value)
    return [Notice(final or original, action, original_recipient=original if original != final else "")], ids


def complaint_fields(part: Part) -> Fields:
    """Return the fields of a complaint."""
    return Fields(tuple(item for group in _groups(part.octets) for item in group.items))
