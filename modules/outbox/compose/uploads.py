"""Files of the composer: stored at once, named by signed tokens, referred to by the form until it is sent."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import PurePath

from flask import current_app
from flask_babel import gettext
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import FileStorage

from core import clock
from core.documents.models import Document
from core.errors import UserError
from core.files import FileStore, StoreFullError
from core.mail.draft import DraftAttachment, safe_file_name
from core.mail.html import MAX_PICTURE_WIDTH
from core.pictures import MAX_PIXELS, TooManyPixelsError, UnreadablePictureError, fitted, size_of
from core.web.formats import file_size
from modules.outbox.limits import attachment_limit
from modules.outbox.message import file_store

PDF_SECONDS = 3600
"""A PDF that was made earlier is made anew: what it shows of customer and company may have changed."""

TOKEN_SECONDS = 30 * 24 * 3600
"""A form that was left open for longer has to be given its files again; drafts are kept as long."""

PICTURE_BOX = (2 * MAX_PICTURE_WIDTH, 4000)
"""Pixels of a picture in the text: twice as wide as it is shown, for screens with two dots a pixel."""

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif"}
"""Of the pictures that every mail program shows."""

_OPAQUE = "application/octet-stream"


class NoPictureError(UserError):
    """A file was to be a picture of the text, and no mail program would show it."""


class Origin(StrEnum):
    """Where a file of the form comes from."""

    ADDED = "added"  # a person has uploaded it
    TEMPLATE = "template"  # it belongs to the template
    PICTURE = "picture"  # it stands in the text
    PDF = "pdf"  # the document's own, made when the mail leaves


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file as the form knows it.

    Attributes:
        token: Signed; names the file when the form is posted.
        name: Safe for a header and a file system.
        size: In bytes.
        media_type: For example `application/pdf`.
        sha256: Its address in the store.
        origin: Where it comes from.
        document_id: For a generated PDF, the document; else 0.
        revision: For a generated PDF, the revision of the document that it shows; else 0.
        language: For a generated PDF, the language in which it speaks; else "".
    """

    token: str
    name: str
    size: int
    media_type: str
    sha256: str
    origin: Origin
    document_id: int = 0
    revision: int = 0
    language: str = ""

    @property
    def attachment(self) -> DraftAttachment:
        """The file as it goes with a draft."""
        return DraftAttachment(self.name, self.media_type, self.sha256, self.size)


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="outbox-form-file")


def signed(
    file: DraftAttachment,
    origin: Origin = Origin.ADDED,
    document: Document | None = None,
    language: str = "",
) -> FormFile:
    """Return a file of the store with a signed token.

    Args:
        file: The file.
        origin: Where it comes from.
        document: For a generated PDF, the document that it shows as it is now.
        language: For a generated PDF, the language in which it speaks.
    """
    # Signed as well, so that the PDF of another document, or of yesterday, cannot be slipped in.
    about = (document.id, document.revision, language) if document is not None else (0, 0, "")
    token = str(_signer().dumps([file.name, file.media_type, file.sha256, file.size, origin.value, *about]))
    return FormFile(token, file.name, file.size, file.media_type, file.sha256, origin, *about)


def read_token(token: str) -> FormFile:
    """Return the file that a token names.

    Raises:
        UserError: The token is not ours or too old, or the bytes are gone.
    """
    try:
        # A kept draft may hold a token that says nothing of a language yet.
        (name, media_type, sha256, size, origin, *about), made_at = _signer().loads(
            token, max_age=TOKEN_SECONDS, return_timestamp=True
        )
    except (BadSignature, ValueError, TypeError) as error:
        raise UserError(gettext("A file has to be chosen again."), "files") from error
    if not file_store().touch(sha256):  # erased meanwhile with the mail that it was taken from
        raise UserError(gettext("“%(name)s” is gone from the store. Attach it again.", name=name), "files")
    if origin == Origin.PDF and (clock.now() - made_at).total_seconds() > PDF_SECONDS:
        raise UserError(gettext("A file has to be chosen again."), "files")
    return FormFile(token, name, size, media_type, sha256, Origin(origin), *about)


def store_upload(upload: FileStorage, *, room: int | None = None, picture: bool = False) -> FormFile:
    """Put an uploaded file into the store.

    Args:
        upload: What the browser has sent.
        room: How many bytes it may have; None for as many as a mail may carry.
        picture: True for a picture inside the text.

    Raises:
        UserError: It is too large, empty, no picture, or could not be stored; nothing is kept.
    """
    name = safe_file_name(upload.filename or "", may_be_path=True)
    room = attachment_limit() if room is None else room
    # One octet more than fits tells that it does not, without reading the rest.
    data = upload.stream.read(max(room, 0) + 1)
    upload.close()  # a large one lies in a temporary file
    if len(data) > room:
        raise UserError(
            gettext(
                "“%(name)s” does not fit: the files of an email may have %(limit)s together.",
                name=name,
                limit=file_size(attachment_limit()),
            ),
            "files",
        )
    if not data:
        # An empty file is nearly always a folder or a file that is still being written.
        raise UserError(gettext("“%(name)s” is empty.", name=name), "files")
    if picture:
        return _put_picture(name, data)
    media_type = (upload.mimetype or mimetypes.guess_type(name)[0] or _OPAQUE)[:120]
    return put(name, media_type, data, Origin.ADDED)


def pasted_keeper() -> Callable[[bytes, str], DraftAttachment | None]:
    """Return what puts the pictures that were pasted into one text into the store.

    It returns None for what is no picture, and once those of the text have more pixels together than a picture may
    have: a short text can say that it holds hundreds, and all are drawn each time that it is looked through.
    """
    left = MAX_PIXELS

    def keep(data: bytes, _media_type: str) -> DraftAttachment | None:
        nonlocal left
        width, height = size_of(BytesIO(data)) or (0, 0)
        left -= width * height
        if left < 0 or len(data) > attachment_limit():
            return None
        try:
            return _put_picture("picture", data).attachment
        except NoPictureError:
            return None

    return keep


def _put_picture(name: str, data: bytes) -> FormFile:
    """Put a picture of the text into the store, no larger than a mail shows it.

    Raises:
        NoPictureError: No mail program would show it.
        UserError: It could not be stored.
    """
    try:
        made = fitted(data, PICTURE_BOX)
    except TooManyPixelsError as error:
        words = gettext("“%(name)s” has too many pixels: make it smaller first.", name=name)
        raise NoPictureError(words, "files") from error
    except UnreadablePictureError as error:
        words = gettext("“%(name)s” is not a picture that emails can show: PNG, JPEG or GIF.", name=name)
        raise NoPictureError(words, "files") from error
    # Its name says what it is by now: a photo from the clipboard comes as PNG, and leaves as JPEG.
    if mimetypes.guess_type(name)[0] != made.media_type:
        name = f"{PurePath(name).stem}{SUFFIXES[made.media_type]}"
    return put(name, made.media_type, made.data, Origin.PICTURE)


def picture_size(file: DraftAttachment) -> tuple[int, int] | None:
    """Return width and height of a picture of the store, or None for what is none."""
    return size_of(BytesIO(file_store().get(file.sha256)))


def put(
    name: str,
    media_type: str,
    data: bytes,
    origin: Origin,
    document: Document | None = None,
    language: str = "",
) -> FormFile:
    """Put bytes into the store and return the file with its token; arguments as for `signed`.

    Raises:
        UserError: They could not be stored.
    """
    store: FileStore = file_store()
    try:
        sha256 = store.put(data)
    except StoreFullError as error:
        raise UserError(
            gettext("“%(name)s” could not be stored. The disk may be full.", name=name), "files"
        ) from error
    return signed(DraftAttachment(name, media_type, sha256, len(data)), origin, document, language)
