"""Bounces that only people were meant to read: qmail, Exim, older Exchange, Domino, Gmail, carriers, appliances.

Every server words them in its own way, and all name the recipient in one of a few places: in a field of the head, at
the beginning of a line, or behind "to". The reason follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from core.mail.bounces.diagnosis import diagnose, find_reply
from core.mail.bounces.message import ADDRESS
from core.mail.bounces.model import Action, Notice
from core.mail.bounces.parts import Fields, read_head

MAX_LISTED = 10_000
"""Recipients that are looked for in a text."""

MAX_MARKERS = 20
"""Lines that may begin the returned message; the first of them does, or one soon after."""

_RETURNED = re.compile(
    r"^[ \t>]*(?:[-=_*#.]{2,80}[^\n]{0,30}?(?:copy of (?:the|your)|original|returned|unsent|undelivered"
    r"|forwarded|message (?:header|text|follows"
    r"|body)|your message|header)[^\n]{0,80}|below this line is a copy[^\n]{0,80}|(?:your |the )?(?:original"
    r"|unsent|returned|failed)"
    r" (?:message|mail)(?! was)(?: (?:is|headers?|text|follows|below|body))?[^\n]{0,60}:?"
    r"|received: from [^\n]{0,500}|return-path: ?<[^\n]{0,300}"
    r"|message (?:header|text) follows:?|the text of the message[^\n]{0,40}"
    r"|[^\n]{0,60}message headers? follows?[^\n]{0,10}"
    r"|\[?original message[^\n]{0,20})$",
    re.IGNORECASE | re.MULTILINE,
)
_DETAILS = re.compile(r"[ \t>]{0,8}original message (?:details|headers?)", re.IGNORECASE)
_KNOWN_FIELD = re.compile(
    r"^(?:received|from|to|subject|date|message-id|return-path|mime-version|content-type|cc|x-mailer"
    r"|reply-to)[ \t]*:",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"not? need(?: to)? (?:resend|retransmit|take any)|do(?:es)? not (?:need to )?(?:resend|retry|re-send)"
    r"|warning message"
    r"|will (?:continue|keep|be retried|retry|try again|attempt)[^.]{0,60}|still (?:trying|attempt|undelivered|being)"
    r"|has(?: been)? (?:been )?delayed|is delayed|not yet been delivered|not been delivered yet"
    r"|delivery (?:has been |is )?(?:delayed|incomplete)"
    r"|temporar\w* (?:problem|fail)[^.]{0,60}(?:retr|will)|delayed mail|warning: (?:could not|message)|n'a pas encore"
    r"|wird weiterhin versucht|noch nicht zugestellt",
    re.IGNORECASE,
)
_STILL_TRYING = re.compile(
    r"warning (?:message )?only|do(?:es)? not need to (?:resend|retransmit)|will continue to be made"
    r"|remains in the server queue",
    re.IGNORECASE,
)
_GIVEN_UP = re.compile(
    r"giv(?:en|ing) up|permanent|fatal error|returned to (?:the )?sender|gave up|will no longer be"
    r"|no longer be retried"
    r"|could not be delivered for|has failed|failed permanently|undeliverable",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(?:not|n't|n’t|un|never|failed|failure|unable|error|problem|refus|reject|bounc|impossible|returned|fatal"
    r"|permanent|delay)"
    r"|échou|échec|n'a pas pu|nicht zugestellt|unzustellbar|konnte nicht|fehlgeschlagen|не (?:может|удалось"
    r"|достав|был|существ)"
    r"|невозможно|недоставлен|エラー|配信|送信できませ|宛先|届|못|无法|退信|失败|退回"
    r"|non (?:è|e')|mancat|impossibile|imposs"
    r"|no (?:se|ha|pudo)|não|niet|kunne ikke|kan inte|nie (?:można|został)",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"(?:did not reach|following (?:recipient|address|user|destination|mailbox)|these recipients|not delivered to"
    r"|(?:fatal|delivery|transport) (?:errors|problems)|failed recipients)[^:]{0,60}(?::|-)[ \t-]*$",
    re.IGNORECASE,
)
# Lists that carry more of an address than the address.
_LISTED = re.compile(
    r"^[ \t>*•·-]{0,12}(?:\d{1,3}[.)] )?(?:(?:\d{3}[ -](?:\d\.\d\.\d )?)?(?:\(?(?:final |original |failed "
    r"|intended |the )?(?:recipient|to|rcpt to|address|user|mailbox"
    r"|destinataire|empfänger|e-?mail|for|delivery to|could not deliver (?:mail |message )?to|unknown recipient"
    r"|invalid recipient"
    r"|unknown user|mail to|message to|failed to deliver to|errored recipient|failed addressee)(?:\(s\)"
    r"|s)?\)?[ \t:=]{1,8})?)"
    r"[<'\"(\[]{0,3}(?:mailto:|smtp:|rfc822;)?",
    re.IGNORECASE,
)
_BEHIND_TO = re.compile(
    r"\b(?:to|for|recipient|address|user|account|mailbox|reach|deliver\w*|an|à|para|для|nach|адрес\w*|user\w*"
    r"|addressee|at|by)\b"
    r"[^@\n]{0,80}$",
    re.IGNORECASE,
)
# What only leads over to a reason, or to the message that is returned.
_LEADS_OVER = re.compile(
    r"(?:technical details[^\n]{0,40}|(?:the )?(?:original|your|returned|unsent) message[^\n]{0,30}|reasons?|because)",
    re.IGNORECASE,
)
# An address that is only the name of the one behind it.
_NAMED_SO = re.compile(r"[\"']?[ \t]{1,3}<[^<>\s]{1,250}@")
_NOBODY = re.compile(
    r"^(?:mailer-?daemon|postmaster|post-?office|mail-?daemon|mdaemon|abuse|noreply|no-reply|help|helpdesk"
    r"|support|hostmaster"
    r"|webmaster|mail-?admin|administrator|info-dsn|sysadmin|smtp|mailmaster|double-bounce)(?:[+.-][^@]*)?@",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A text, and the message that is returned below it."""

    words: str
    returned: Fields


def split_returned(text: str) -> Split:
    """Part what a server says from the message that it returns in the same text."""
    positions = [match.start() for match in islice(_RETURNED.finditer(text), MAX_MARKERS)]
    block = _header_block(text)
    if block is not None:
        positions.append(block)
    for start in sorted(positions)[:MAX_MARKERS]:
        head, rest = _first_head(text[start : start + 64_000])
        if head.first("from") or head.first("to") or head.first("message-id") or head.first("received"):
            # What stands above is what the server says; where it says nothing, the words come behind.
            above = text[:start]
            return Split(above if says_failure(above) else f"{above}\n\n{rest}", head)
        parted = text[start : start + 1] in "-=_*" or _DETAILS.match(text, start) is not None
        if parted and "@" in text[:start] and says_failure(text[:start]):
            return Split(text[:start], Fields())
    return Split(text, Fields())


def _header_block(text: str) -> int | None:
    """Return where at least three fields of a message follow each other."""
    position = run = first = 0
    for line in text.split("\n"):
        if _KNOWN_FIELD.match(line):
            first = position if run == 0 else first
            run += 1
            if run >= 4:
                return first
        elif not (run and line[:1] in " \t" and line.strip()) and not (
            run and re.match(r"[!-9;-~]{1,60}:", line)
        ):
            run = 0
        position += len(line) + 1
    return None


def _first_head(text: str) -> tuple[Fields, str]:
    lines = text.split("\n")
    for index, line in enumerate(lines[:40]):
        unquoted = line.lstrip("> \t")
        if _KNOWN_FIELD.match(unquoted):
            indent = len(line) - len(unquoted)
            strip = indent and all(
                not one.strip() or one[:indent] == line[:indent] for one in lines[index : index + 3]
            )
            block = "\n".join(one[indent:] if strip else one for one in lines[index : index + 400])
            fields, rest = read_head(block.encode("utf-8", "replace"))
            return fields, rest.decode("utf-8", "replace")
    return Fields(), ""


def says_failure(text: str) -> bool:
    """Tell whether a text speaks of something that was not delivered, in any of some languages."""
    return _FAILED.search(text[:20_000]) is not None


def is_delay(subject: str, words: str) -> bool:
    """Tell whether a server still tries."""
    early = words[:4000]
    if _STILL_TRYING.search(early):
        return True
    return bool(_DELAYED.search(f"{subject}\n{early}")) and not _GIVEN_UP.search(f"{subject}\n{early}")


def free_notices(
    words: str, subject: str, named: list[str], returned: list[str], not_meant: set[str]
) -> list[Notice]:
    """Return a notice for each recipient that a text speaks of.

    Args:
        words: The text, without the message that was returned.
        subject: The subject, which some servers put the reason in.
        named: Recipients that a field of the head names (X-Failed-Recipients).
        returned: Recipients of the returned message.
        not_meant: Addresses, in lower case, that the text may name and does not mean: who sent the mail, who reports.
    """
    delayed = is_delay(subject, words)
    places = _meant(_places(words), not_meant)
    recipients = list(dict.fromkeys(named)) or _chosen(places, returned, not_meant)
    if not recipients:
        return []
    action = Action.DELAYED if delayed else Action.FAILED
    notices = []
    starts = {place.address.lower(): place for place in reversed(places)}
    for recipient in recipients[:MAX_LISTED]:
        place = starts.get(recipient.lower())
        texts = [place.reason, place.block, place.paragraph] if place is not None else []
        if place is not None and find_reply(place.block) is not None and find_reply(place.reason) is None:
            # "Google tried to deliver your message … the other server returned:" stands before the reason.
            texts = texts[1:]
        if len(recipients) <= 20:
            texts += [words, subject]
        notices.append(diagnose(texts, delayed=delayed).notice(recipient, action))
    return notices


@dataclass(frozen=True, slots=True)
class _Hit:
    """An address in a text: where it ends, and whether it stands where servers list recipients, or behind "to"."""

    line: int
    end: int
    address: str
    listed: bool
    named: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """What a text says at an address: the first paragraph behind it, all up to the next address, and around it."""

    address: str
    listed: bool
    named: bool
    reason: str
    block: str
    paragraph: str


def _places(words: str) -> list[_Place]:
    """Return where a text names addresses, and what it says there."""
    lines = words.split("\n")[:20_000]
    hits = list(islice(_hits(lines), MAX_LISTED))
    ends = _ends(hits, len(lines))
    # "Your message To: … did not reach the following:" tells first whom it was meant for.
    announced = next((number for number, line in enumerate(lines) if _ANNOUNCED.search(line[:300])), -1)
    if any(hit.line > announced for hit in hits):
        hits = [hit for hit in hits if hit.line > announced]
    places = []
    for hit in hits:
        last = min(ends.get(hit.line, len(lines)) if hit.listed else hit.line + 4, hit.line + 14)
        block = [lines[hit.line][hit.end :], *lines[hit.line + 1 : last]]
        around = "\n".join(lines[max(0, hit.line - 3) : last])
        places.append(_Place(hit.address, hit.listed, hit.named, _reason(block), "\n".join(block), around))
    return places


def _hits(lines: list[str]) -> Iterator[_Hit]:
    for number, line in enumerate(lines):
        if "@" not in line:
            continue
        for match in ADDRESS.finditer(line[:2000]):
            address = _clean(match.group())
            if not _is_address(address) or _NAMED_SO.match(line, match.end()):
                continue
            before = line[max(0, match.start() - 120) : match.start()]
            listed = match.start() < 120 and _LISTED.fullmatch(before) is not None
            yield _Hit(number, match.end(), address, listed, listed or _BEHIND_TO.search(before) is not None)


def _ends(hits: list[_Hit], count: int) -> dict[int, int]:
    """Return for each line that lists an address the one where the next address is listed."""
    ends: dict[int, int] = {}
    end = following = count
    address = ""
    for hit in reversed([hit for hit in hits if hit.listed]):
        # A reply that names the same address again still belongs to it.
        if address and hit.address.lower() != address:
            end = following
        ends[hit.line] = end
        address, following = hit.address.lower(), hit.line
    return ends


def _meant(places: list[_Place], not_meant: set[str]) -> list[_Place]:
    """Return the places without those of the sender, unless there are no others: people write to themselves."""
    somebody = [place for place in places if not _NOBODY.match(place.address)]
    others = [place for place in somebody if place.address.lower() not in not_meant]
    return others or [place for place in somebody or places if place.named]


def _reason(lines: list[str]) -> str:
    text = "\n".join(lines).strip("<>:;,.)]\"' \t\n")
    # The next paragraph belongs to it only where the first is empty.
    paragraphs = [part.strip() for part in re.split(r"\n[ \t]*\n", text) if not _says_nothing(part)]
    return paragraphs[0] if paragraphs else ""


def _says_nothing(paragraph: str) -> bool:
    words = paragraph.strip(" \t\n-=*_#.:;,")
    return not any(map(str.isalpha, words[:2000])) or _LEADS_OVER.fullmatch(words) is not None


def _clean(address: str) -> str:
    return address if address.startswith('"') else address.strip("'\"`*_").rstrip(".:;,!?-")


def _is_address(address: str) -> bool:
    local, _, domain = address.rpartition("@")
    return bool(local) and bool(domain) and len(address) <= 320 and not domain.startswith(".")


def _chosen(places: list[_Place], returned: list[str], not_meant: set[str]) -> list[str]:
    """Return the recipients among the addresses of a text."""
    to = {address.lower() for address in returned} - not_meant
    listed = [place.address for place in places if place.listed]
    near = [place.address for place in places if place.named]
    for group in (listed, near, [place.address for place in places]):
        if group:
            chosen = [address for address in group if address.lower() in to] if group is not listed else []
            return _once(chosen or group)
    others = [address for address in returned if address.lower() not in not_meant]
    return _once(others) if len(others) == 1 else []


def _once(addresses: list[str]) -> list[str]:
    found: dict[str, str] = {}
    for address in addresses:
        found.setdefault(address.lower(), address)
    return list(found.values())
