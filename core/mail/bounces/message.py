"""What every kind of reading needs of a message: its words, whom it names, which message it returns."""

from __future__ import annotations

import re

from core.mail.bounces.model import About
from core.mail.bounces.parts import Fields, Part, is_message

MAX_WORDS = 256 * 1024  # characters of all texts for people together

ADDRESS = re.compile(
    # Begun where a word begins, so that a long word is read once. A quoted local part may hold anything.
    r"(?:\"[^\"\n]{1,64}\"|(?<![^\s<>()\[\]:;,=\"'*])[^\s<>()\[\]:;,=\"@*]{1,200})@(?:\[[0-9A-Fa-f:.]{3,45}\]"
    r"|[^\s<>()\[\]:;,=\"'@*!|]{1,253})"
)
_ID = re.compile(r"<[^<>\s]{1,500}>")
_SENT_TO = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "to")


def words_of(message: Part) -> str:
    """Return the texts for people: those in plain text, or HTML where there is no other."""
    plain: list[str] = []
    marked: list[str] = []
    room = MAX_WORDS
    for part in message.walk():
        if is_message(part.media_type) or part.parts or room <= 0:
            continue
        if part.media_type in {"text/html", "text/plain", "text", ""} or part.media_type.startswith("text/"):
            text = part.text()[:room]
            room -= len(text)
            (marked if part.media_type == "text/html" else plain).append(text)
    return "\n\n".join(plain if any(text.strip() for text in plain) else marked)


def returned_head(message: Part) -> Fields:
    """Return the head of the message that is returned."""
    for part in message.walk():
        if is_message(part.media_type) and part.parts:
            return part.parts[0].fields
    return Fields()


def about_of(
    message: Part, returned: Fields, *, envelope_id: str = "", first_ids: tuple[str, ...] = ()
) -> About:
    """Return the message that this one is about, of whose Message-IDs `first_ids` are the likeliest."""
    ids = [
        match.group()
        for value in (
            *first_ids,
            returned.first("message-id"),
            message.fields.first("in-reply-to"),
            message.fields.first("references"),
        )
        for match in _ID.finditer(value[:8000])
    ]
    return About(
        tuple(dict.fromkeys(ids))[:50],
        envelope_id[:200],
        next(iter(addresses_of(returned, "from")), ""),
        tuple(addresses_of(returned, "to", "cc")),
        returned.first("subject")[:1000],
    )


def addressed_to_of(fields: Fields) -> tuple[str, ...]:
    """Return the addresses that a message was sent to, by envelope and by head."""
    return tuple(dict.fromkeys(addresses_of(fields, *_SENT_TO)))


def addresses_of(fields: Fields, *names: str) -> list[str]:
    """Return the addresses in the fields of these names."""
    return [address for name in names for value in fields.every(name) for address in addresses_in(value)]


def addresses_in(value: str) -> list[str]:
    """Return the addresses in a text."""
    return [match.group().strip("'`").rstrip(".") for match in ADDRESS.finditer(value[:8000])]
