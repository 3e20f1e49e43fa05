"""The text of a mail: HTML made safe with its pictures, and its plain-text twin."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote, unquote_to_bytes

import nh3

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail import html as mail_html
from core.mail.draft import DraftAttachment
from core.mail.html import drop_captions, plain_text, replace_pictures

__all__ = ["PICTURE_TYPES", "clean_html", "page", "plain_text", "show_pictures", "take_pictures"]

PICTURE_TYPES = frozenset({"image/gif", "image/jpeg", "image/png"})
"""Media types of pictures that every mail program shows in a text."""
_PAGE = (
    '<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8"></head>\n'
    '<body style="font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.5;color:#1d2733">\n'
    "{body}\n</body>\n</html>\n"
)
# What the editor shows while a picture has no place in a mail yet.
_OWN_PICTURE = re.compile(r"/outbox/compose/file/([^/?#]+)$")
# A picture that was pasted: its octets stand in the address (RFC 2397).
_DATA = re.compile(r"data:([a-z0-9.+/-]+)((?:;[^,;]*)*?)(;base64)?,(.*)", re.DOTALL | re.IGNORECASE)

Resolve = Callable[[str], DraftAttachment | None]
Keep = Callable[[bytes, str], DraftAttachment | None]
SizeOf = Callable[[DraftAttachment], tuple[int, int] | None]


def page(html: str, language: str) -> str:
    """Return the HTML part of the message around a clean body; no picture is wider than the reader's screen."""
    # In the element itself: many mail programs ignore a style sheet in the head.
    body = html.replace("<img ", '<img style="max-width:100%;height:auto" ')
    return _PAGE.format(language=nh3.clean_text(language), body=body)


def clean_html(html: str) -> str:
    """Return the HTML with nothing but text, its form, links, and pictures that travel with the mail."""
    return mail_html.clean_html(html, pictures=True)


def take_pictures(
    html: str, resolve: Resolve, *, keep: Keep | None = None, size_of: SizeOf = lambda _file: None
) -> tuple[str, list[DraftAttachment]]:
    """Return what the editor has written as clean HTML, and the pictures in it as files of the mail.

    Each picture is one file, however often the text shows it. Pictures from elsewhere are left out: no mail of
    ours makes the reader's program ask another place.

    Args:
        html: What the editor has written.
        resolve: Returns the file of a token, or None when it is gone.
        keep: Stores a picture that was pasted as data; None refuses such pictures.
        size_of: Returns width and height of a picture, or None where they are unknown.

    Raises:
        UserError: A picture is gone, is of a kind that mail programs do not show, or could not be kept.
    """
    taken: dict[str, DraftAttachment] = {}
    problems: list[UserError] = []

    def source(address: str) -> tuple[str, str, tuple[int, int] | None] | None:
        own = _OWN_PICTURE.search(address)
        try:
            file = resolve(unquote(own[1])) if own else _pasted(address, keep)
            picture = _as_picture(file) if own or file else None
        except UserError as error:
            problems.append(error)
            return None
        if picture is None:
            return None
        taken.setdefault(picture.content_id, picture)
        return f"cid:{picture.content_id}", picture.name, size_of(picture)

    body = clean_html(replace_pictures(drop_captions(html), source))
    # After all have been looked at; the first is told, the text stays as it was typed.
    if problems:
        raise problems[0]
    return body, list(taken.values())


def show_pictures(html: str, address_of: Callable[[str], str | None]) -> str:
    """Return the HTML with the pictures that travel with the mail at addresses where a browser finds them.

    Args:
        html: A clean body.
        address_of: Returns the address for a Content-ID, without its brackets; None leaves the picture out.
    """
    # Most texts have no picture; then there is nothing to read and write anew.
    if "<img" not in html:
        return html

    def source(address: str) -> tuple[str, str, None] | None:
        shown = address_of(address.removeprefix("cid:"))
        return None if shown is None else (shown, "", None)

    return replace_pictures(html, source)


def _as_picture(file: DraftAttachment | None) -> DraftAttachment:
    if file is None:
        raise UserError(_l("A picture in the text is gone. Take it out, or insert it again."), "body")
    if file.media_type not in PICTURE_TYPES:
        words = _l(
            "“%(name)s” cannot be shown in the text: use PNG, JPEG or GIF, or attach it as a file.",
            name=file.name,
        )
        raise UserError(words, "body")
    # The same octets have the same name everywhere (RFC 2392 wants it to be unique in the world).
    content_id = f"{file.sha256[:32]}@picture.invalid"
    return DraftAttachment(file.name, file.media_type, file.sha256, file.size, content_id)


def _pasted(address: str, keep: Keep | None) -> DraftAttachment | None:
    """Return the file of a picture that was pasted as data, or None when the address is no such thing."""
    found = _DATA.fullmatch(address)
    if found is None:
        return None
    data = b""
    with suppress(binascii.Error, ValueError):
        data = base64.b64decode(unquote(found[4])) if found[3] else unquote_to_bytes(found[4])
    file = keep(data, found[1].lower()) if keep is not None and data else None
    if file is None:
        words = _l("A pasted picture cannot be sent as it is. Save it to a file, then insert that file.")
        raise UserError(words, "body")
    return file
