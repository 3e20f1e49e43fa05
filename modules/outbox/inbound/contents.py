"""What an answer says, from its octets to the rows that keep it: text, clean HTML, files in the store."""

from __future__ import annotations

import re

from core.files import StoreError
from core.mail.addresses import Address, InvalidAddressError, normalize
from core.mail.html import clean_html, plain_text
from core.mail.reader import ReadAttachment, ReadMessage, read_message
from modules.outbox.limits import attachment_limit
from modules.outbox.message import file_store
from modules.outbox.models import Answer, AnswerFile

MAX_TEXT = 200_000  # characters; a page shows no more of one message
MAX_HTML = 500_000  # the same of clean HTML; beyond it there is the text
MAX_FILES = 30
MAX_REFERENCES = 20  # of a thread: the first, and the last ones (RFC 5322 leaves it to us how many)
# Narrower than RFC 5322 §3.6.4, so that nothing in it can end its field; longer ones are not ours to repeat.
_MESSAGE_ID = re.compile(r"<[!#-;=?-Z^-~\[\]]{1,250}>")


def read_answer(octets: bytes) -> Answer:
    """Return what an answer says, with its files put into the store; whatever the octets are, it never raises.

    Whoever calls it writes the rows within `erasure.JUST_STORED`, or the files go again. What is too many or too large
    is counted as left out; the message itself stays where it lies.
    """
    message = read_message(octets)
    html = clean_html(message.html) if message.html else ""
    text = message.text if message.text.strip() else plain_text(html)
    sender = _first(message.header_from)
    reply_to = _first(message.reply_to).addr_spec
    files, left_out = _kept(message)
    return Answer(
        sender=sender.addr_spec,
        sender_name=sender.display_name[:160],
        reply_to=reply_to if reply_to != sender.addr_spec else "",
        subject=message.subject[:500],
        body_text=text[:MAX_TEXT],
        body_html=html if len(html) <= MAX_HTML else "",
        reference_ids=" ".join(_thread(message)),
        files=files,
        left_out=left_out,
    )


def _first(addresses: tuple[Address, ...]) -> Address:
    """Return the first that a mail could be sent to; an empty one for none."""
    for address in addresses[:10]:
        try:
            return Address(normalize(address.addr_spec), address.display_name)
        except InvalidAddressError:
            continue
    return Address("", addresses[0].display_name if addresses else "")


def _thread(message: ReadMessage) -> list[str]:
    """Return the Message-IDs of the thread, its own the last: what an answer to it puts into References."""
    fields = {name.lower(): value for name, value in reversed(message.headers)}
    before = _MESSAGE_ID.findall(fields.get("references", "")[:20_000])
    before = before or _MESSAGE_ID.findall(fields.get("in-reply-to", "")[:2000])[:1]
    own = _MESSAGE_ID.findall(message.message_id[:300])[:1]
    known = [one for one in dict.fromkeys(before) if one not in own]
    if len(known) > MAX_REFERENCES:
        known = [known[0], *known[1 - MAX_REFERENCES :]]
    return [*known, *own]


def _kept(message: ReadMessage) -> tuple[list[AnswerFile], int]:
    kept: list[AnswerFile] = []
    left_out, room = 0, attachment_limit()
    for file in message.attachments:
        sha256 = _stored(file) if len(kept) < MAX_FILES and 0 < file.size <= room else ""
        if not sha256:
            left_out += bool(file.size)
            continue
        room -= file.size
        kept.append(
            AnswerFile(
                position=len(kept),
                name=file.name[:200],
                media_type=file.media_type[:120],
                size=file.size,
                sha256=sha256,
            )
        )
    return kept, left_out


def _stored(file: ReadAttachment) -> str:
    try:
        return file_store().put(file.data)
    except (StoreError, OSError):
        return ""
