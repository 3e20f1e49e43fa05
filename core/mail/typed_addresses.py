"""Addresses as people type and paste them: cleaned of what nobody sees, parted, and what is wrong in them.

Mail programs, web pages and word processors put around an address what is none of it. Whatever can mean only one
thing is read; for the rest, a sentence says what is wrong and where.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from core.i18n import lazy_gettext as _l

_LINE_ENDS = re.compile(r"[\n\r]+")  # people paste a list with an address on each line
_MARK = re.compile(r'[;,；，"]')
_SEPARATOR = re.compile("[;,；，]")  # Outlook writes semicolons, everybody else commas
_COMMAS = (",", "，")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_ESCAPED = re.compile(r"\\(.)")
_BLANKS = re.compile(r"\s+")
# Marks of direction, of where a word may break, of the order of octets: they come along when something is copied.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
_JOINERS = "\u200c\u200d"  # belong to words of some scripts, inside of them
# A letter as wide as a Chinese one, as keyboards of East Asia write it, and the small form.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0xFE6B: "@", 0x3002: ".", 0xFF61: "."}
_QUOTES = {"'": "'", "‘": "’", "“": "”", "„": "“", "«": "»", "‹": "›", '"': '"', "`": "`"}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_MAILTO = re.compile(r"mailto:", re.IGNORECASE)
_AT = r"[^\s()<>\[\]\"@]+@[^\s()<>\[\]\"@]+"
_COMMENTED = re.compile(rf"({_AT})\s*\(([^()]*)\)")
# As older mail programs write it: Name [mailto:local@domain], and people: Name (local@domain), Name: local@domain.
_BEHIND = re.compile(rf"([^()<>\[\]@]+?)\s*(?:\(({_AT})\)|\[({_AT})\])")
_LABELED = re.compile(rf"([^()<>\[\]@:]+):\s+({_AT})")
_LABELS = frozenset(
    ("to", "cc", "bcc", "from", "reply-to", "mail", "email", "e-mail", "à", "de", "cci", "courriel")
)
_BULLET = re.compile(r"^(?:[•·▪◦‣*–—-]|[0-9]{1,3}[.)])\s+(?=\S+@\S+$)")
_BEHIND_BRACKET = re.compile(r"(>)\s*(?:[.…]|\(([^()]*)\))$")
_BETWEEN = frozenset(("|", "/", "&", "+", "and", "et"))
_UP_TO_BRACKET = re.compile(r"[^>]*>?")
_ATEXT = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]")  # RFC 5322 §3.2.3, and letters of all scripts (RFC 6531)
_IN_DOMAIN = re.compile(r"[^\W_]|[.\-]|[^\x00-\x7f]")
_DOTTED_CARRIERS = re.compile(
    r"(?:docomo|ezweb|softbank|disney|[a-z]\.vodafone)\.ne\.jp|au\.com", re.IGNORECASE
)
"""Japanese carriers gave out addresses with two dots in a row, which RFC 5321 knows only in quotation marks."""
_LONGEST_DOMAIN = 253  # characters (RFC 1035 §2.3.4, without its final dot)
_LONGEST_LABEL = 63  # between two dots of a domain


def clean(text: str) -> str:
    """Return an addr-spec without what came along with it, and with one spelling for each letter."""
    text = _UNSEEN.sub("", text).translate(_WIDE).strip(_JOINERS)
    # One spelling for letters with accents: Macs type two characters where others type one.
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > 2 and {**_QUOTES, **_BRACKETS}.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    if _MAILTO.match(text):
        text = text[len("mailto:") :].partition("?")[0]
    # Of the sentence that it ended.
    text = text.removesuffix(".").removesuffix("…")
    local, at, domain = text.rpartition("@")
    dotted = ".." in local or local.startswith(".") or local.endswith(".")
    if at and dotted and not local.startswith('"') and _DOTTED_CARRIERS.fullmatch(domain):
        return f'"{local}"@{domain}'
    return text


def name_and_spec(text: str) -> tuple[str, str]:
    """Return the name before, or in brackets behind, an address, and what stands where the address should.

    `Name <local@domain>`, `"Name" <local@domain>` (RFC 5322 §3.4), `local@domain (Name)` (RFC 822), as people write it
    by themselves, or no name.
    """
    text = _BULLET.sub("", text.strip())
    comment = ""
    if (ended := _BEHIND_BRACKET.search(text)) is not None:
        text, comment = text[: ended.end(1)], ended[2] or ""
    if text.count("<") + text.count(">") == 1 and "@" in text and '"' not in text:
        text = text.strip(">") if ">" in text else f"{text}>"  # the other one was not copied
    if text.endswith(">>"):
        text = text.replace("<<", "<").removesuffix(">")
    if text.endswith(">") and "<" in text:
        name, _, spec = text.rpartition("<")
        return _unquoted(name.strip()) or comment.strip(), spec[:-1]
    if (commented := _COMMENTED.fullmatch(text)) is not None:
        return commented[2].strip(), commented[1]
    if (behind := _BEHIND.fullmatch(text)) is not None:
        return behind[1].strip(), behind[2] or behind[3]
    if (labeled := _LABELED.fullmatch(text)) is not None:
        name = labeled[1].strip()
        return "" if name.casefold() in _LABELS else name, labeled[2]
    return "", text


def _unquoted(name: str) -> str:
    if len(name) > 1 and name[0] == name[-1] == '"':
        return _ESCAPED.sub(r"\1", name[1:-1])
    # Some programs put others around it.
    if len(name) > 1 and _QUOTES.get(name[0]) == name[-1] and not {name[0], name[-1]} & set(name[1:-1]):
        return name[1:-1].strip()
    return name.strip('"')


def split(text: str) -> list[str]:
    """Return what stands between `;`, `,` and ends of lines; a name in quotation marks keeps its own.

    Outlook copies `Last, First <local@domain>; …` without quotation marks. What has no @ is no address, so it is taken
    as the first part of the name behind it. Addresses with nothing but blanks between them part as well.
    """
    parts: list[str] = []
    for line in _LINE_ENDS.split(text):
        begun: list[str] = []
        for text_between, mark in _parts_of(line):
            part = text_between.strip()
            if begun and part.endswith(">"):
                parts.append(f"{begun.pop()}, {part}")
            elif part:
                parts += begun
                begun = [part] if mark in _COMMAS and not _has_at(part) else []
                parts += [] if begun else _apart(part)
        parts += begun
    return parts


def _has_at(text: str) -> bool:
    return "@" in text.translate(_WIDE)


def _apart(part: str) -> list[str]:
    if part.count("@") < 2 or '"' in part:
        return [part]
    if ">" in part:
        pieces = [piece.strip() for piece in _UP_TO_BRACKET.findall(part) if piece.strip()]
    else:
        pieces = [word for word in part.split() if word.casefold() not in _BETWEEN]
    return pieces if all(piece.count("@") == 1 for piece in pieces) else [part]


def _parts_of(line: str) -> Iterator[tuple[str, str]]:
    """Return what stands between two `;` or `,`, and the mark behind it; those in quotation marks belong to a name."""
    marks, start, position = _MARK, 0, 0
    while (mark := marks.search(line, position)) is not None:
        position = mark.end()
        if mark[0] != '"':
            yield line[start : mark.start()], mark[0]
            start = position
        elif (quoted := _QUOTED.match(line, mark.start())) is not None:
            position = quoted.end()
        else:
            # Where one is never closed, no later one is: looking at each would take for ever.
            marks = _SEPARATOR
    yield line[start:], ""


def fault(text: str) -> object | None:
    """Return what is wrong in a cleaned addr-spec, as the end of a sentence; None where no rule here is broken."""
    return next(_faults(text), None)


def _faults(text: str) -> Iterator[object]:
    local, at, domain = text.rpartition("@")
    quoted = len(local) > 1 and local.startswith('"') and local.endswith('"')
    if not at:
        yield _l("there is no @ in it")
    elif "@" in local and not quoted:
        yield _l("there is more than one @ in it")
    elif not quoted:
        yield from _faults_before(local)
    yield from _faults_after(domain, f"{local}@")


def _faults_before(local: str) -> Iterator[object]:
    if not local:
        yield _l("nothing stands before the @")
    if (blank := _BLANKS.search(local)) is not None:
        yield _l("there is a space after “%(before)s”", before=local[: blank.start()])
    for place, letter in enumerate(local):
        if not _ATEXT.match(letter) and letter.isascii():
            yield _unfit(letter, local[:place])
    if local.startswith("."):
        yield _l("it begins with a dot")
    if local.endswith("."):
        yield _l("a dot stands right before the @")
    if ".." in local:
        yield _l("two dots follow each other after “%(before)s”", before=local.partition("..")[0])


def _faults_after(domain: str, before: str) -> Iterator[object]:
    if not domain.strip():
        yield _l("nothing stands after the @")
    if (blank := _BLANKS.search(domain)) is not None:
        yield _l("there is a space after “%(before)s”", before=before + domain[: blank.start()])
    for place, letter in enumerate(domain):
        if not _IN_DOMAIN.match(letter):
            yield _unfit(letter, before + domain[:place])
    labels = domain.split(".")
    if "" in labels:
        whole = domain.partition("..")[0] if ".." in domain else ""
        yield _l("a dot is too many after “%(before)s”", before=before + whole)
    if len(labels) < 2:
        yield _l("after the @ the ending is missing, such as .com")
    elif labels[-1].isdigit():
        yield _l("after the @ it cannot end with the number “%(part)s”", part=labels[-1])
    if (loose := next((label for label in labels if label.strip("-") != label), None)) is not None:
        yield _l("“%(part)s” begins or ends with a hyphen", part=loose)
    if any(len(label) > _LONGEST_LABEL for label in labels) or len(domain) > _LONGEST_DOMAIN:
        yield _l("what stands after the @ is too long")


def doubtful(text: str) -> object | None:
    """Return what is probably wrong in an addr-spec that no rule here refuses, and others do."""
    for place, letter in enumerate(text):
        if not letter.isascii() and not letter.isalnum():
            return _unfit(letter, text[:place])
    return None


def _unfit(letter: str, before: str) -> object:
    if not letter.isprintable():
        letter = f"U+{ord(letter):04X}"
    if not before:
        return _l("it cannot begin with “%(letter)s”", letter=letter)
    return _l("“%(letter)s” cannot stand after “%(before)s”", letter=letter, before=before)
