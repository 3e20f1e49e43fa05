"""Files that go with every mail of a template: stored at once, named by signed tokens until it is saved."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import cast

from flask import current_app
from flask_babel import gettext
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import FileStorage

from core.errors import UserError
from core.files import FileStore, StoreFullError
from core.mail.draft import safe_file_name
from core.web.formats import file_size
from modules.mail_config.mail_templates.service import MAX_FILE_BYTES

TOKEN_SECONDS = 24 * 3600  # how long an upload may wait for the form to be saved; then its bytes are removed


@dataclass(frozen=True, slots=True)
class TypedFile:
    """A file that goes with every mail; its bytes are in the store."""

    name: str
    media_type: str
    size: int
    sha256: str

    @property
    def token(self) -> str:
        """A signed name by which the form refers to it."""
        return str(_signer().dumps([self.name, self.media_type, self.size, self.sha256]))


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="mail-config-template-file")


def _store() -> FileStore:
    return cast("FileStore", current_app.extensions["envoi_files"])


def store_upload(upload: FileStorage) -> TypedFile:
    """Put an uploaded file into the store.

    Raises:
        UserError: It is empty or too large, or the store is full; nothing is kept.
    """
    name, limit = safe_file_name(upload.filename or "", may_be_path=True), MAX_FILE_BYTES
    data = upload.stream.read(limit + 1)
    upload.close()
    if not data:
        raise UserError(gettext("“%(name)s” is empty.", name=name), "files")
    if len(data) > limit:
        raise UserError(
            gettext("“%(name)s” is larger than %(limit)s.", name=name, limit=file_size(limit)), "files"
        )
    media_type = (upload.mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream")[:120]
    try:
        return TypedFile(name, media_type, len(data), _store().put(data))
    except StoreFullError as error:
        raise UserError(
            gettext("“%(name)s” could not be stored. The disk may be full.", name=name), "files"
        ) from error


def read_file_token(token: str) -> TypedFile:
    """Return the file that a token names.

    Raises:
        UserError: The token is not ours or too old, or the bytes are gone.
    """
    try:
        file = TypedFile(*_signer().loads(token, max_age=TOKEN_SECONDS))
    except (BadSignature, ValueError, TypeError) as error:
        raise UserError(gettext("A file has to be chosen again."), "files") from error
    if not _store().touch(file.sha256):
        raise UserError(
            gettext("“%(name)s” is gone from the store. Choose it again.", name=file.name), "files"
        )
    return file
