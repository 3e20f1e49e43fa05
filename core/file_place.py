"""Where files are kept, as the setting `ENVOI_FILES` says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class PlaceKind(StrEnum):
    """What keeps the files."""

    FOLDER = "folder"
    DATABASE = "database"
    S3 = "s3"


class FilePlaceError(ValueError):
    """A text names no place; what it says is the end of a sentence."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A place for files.

    Attributes:
        kind: What keeps them.
        folder: The folder; None for the usual one, `files` in the data folder.
        endpoint: The address of the object storage, such as `https://s3.example.com`, or "".
        bucket: The bucket, or "".
        prefix: What the names in the bucket begin with, or "".
    """

    kind: PlaceKind
    folder: Path | None = None
    endpoint: str = ""
    bucket: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        if self.kind is PlaceKind.FOLDER:
            return f"folder:{self.folder}" if self.folder else "the folder files of ENVOI_DATA_DIR"
        if self.kind is PlaceKind.DATABASE:
            return "database"
        return f"s3:{self.endpoint}/{self.bucket}{f'/{self.prefix}' if self.prefix else ''}"


def read_place(text: str) -> FilePlace:
    """Return the place that a text names.

    Args:
        text: `folder:/path`, `database`, `s3:https://host/bucket` with a prefix or without; "" or `folder:` for the
            usual folder.

    Raises:
        FilePlaceError: It names none.
    """
    kind, _, rest = text.partition(":")
    if text in {"", "folder:"}:
        return FilePlace(PlaceKind.FOLDER)
    if text == PlaceKind.DATABASE:
        return FilePlace(PlaceKind.DATABASE)
    if kind == PlaceKind.FOLDER:
        folder = Path(rest).expanduser()
        if not folder.is_absolute():
            raise FilePlaceError("must name a folder by its whole path, as in folder:/srv/envoi")
        return FilePlace(PlaceKind.FOLDER, folder)
    if kind == PlaceKind.S3:
        return _object_storage(rest)
    raise FilePlaceError("must be folder:/path, database, or s3:https://host/bucket")


def _object_storage(text: str) -> FilePlace:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"https", "http"} or parts.query or parts.fragment:
        raise FilePlaceError("must name the object storage as in s3:https://s3.example.com/bucket")
    if parts.username or parts.password:
        raise FilePlaceError("must not hold a key: that belongs into ENVOI_FILES_KEY and ENVOI_FILES_SECRET")
    bucket, _, prefix = parts.path.strip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not _PREFIX.fullmatch(prefix)):
        raise FilePlaceError("must name a bucket behind the host, as in s3:https://s3.example.com/bucket")
    name = f"[{host}]" if ":" in host else host
    return FilePlace(
        PlaceKind.S3,
        endpoint=f"{parts.scheme}://{name}{f':{port}' if port else ''}",
        bucket=bucket,
        prefix=prefix,
    )
