"""The store that the settings name, and the mark by which every host knows that it has found it."""

from __future__ import annotations

import pkgutil
import secrets
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from core.config import Settings
from core.db import apart
from core.errors import EnvoiError
from core.file_place import FilePlace, FilePlaceError, PlaceKind, read_place
from core.files.database import DatabaseStore
from core.files.folder import FolderStore
from core.files.models import THE_ROW, FileStoreMark
from core.files.store import FileStore

_ROW: Any = FileStoreMark.__table__


class _KnownMark:
    """The mark that the database knows, asked for until there is one: it never changes afterwards."""

    def __init__(self) -> None:
        self._mark = ""

    def __call__(self) -> str:
        self._mark = self._mark or known_mark()
        return self._mark


def open_store(settings: Settings, place: FilePlace | None = None, *, marked: bool = True) -> FileStore:
    """Return a store; nothing is asked of it yet.

    Args:
        settings: Those of the installation.
        place: Where it is; None for the place that the settings name.
        marked: False where another store than that of the installation is meant as well.
    """
    place = place or settings.files
    mark = _KnownMark() if marked else None
    if place.kind is PlaceKind.DATABASE:
        return DatabaseStore(mark)
    if place.kind is PlaceKind.S3:
        # By its name: the library takes 7 MB of each process, and most installations have no use for it.
        module: Any = pkgutil.resolve_name("core.files.object_storage")
        access = module.Access(settings.files_region, settings.files_key, settings.files_secret)
        opened: FileStore = module.ObjectStore(place, access, mark)
        return opened
    return FolderStore(place.folder or settings.data_dir / "files", mark)


def named_store(settings: Settings, text: str) -> FileStore:
    """Return the store that a person has named, whatever its mark.

    Raises:
        EnvoiError: The text names none.
    """
    try:
        return open_store(settings, read_place(text), marked=False)
    except FilePlaceError as error:
        raise EnvoiError(f"A file store {error}, not “{text}”.") from error


def known_mark() -> str:
    """Return the mark of the installation's store, or "" where none is known yet."""
    with apart(write=False) as connection:
        return connection.scalar(select(_ROW.c.mark)) or ""


def establish(store: FileStore) -> str:
    """Mark the store of an installation that has none yet, and return the mark.

    Of several hosts that do so at once the first one decides: the store of the others must be the same.

    Raises:
        StoreError: It cannot be written.
    """
    if mark := known_mark():
        return mark
    mark = secrets.token_hex(16)
    store.set_mark(mark)
    try:
        with apart() as connection:
            connection.execute(insert(_ROW), {"id": THE_ROW, "mark": mark})
    except IntegrityError:
        store.clear_mark(mark)
    return known_mark()


def adopt(store: FileStore) -> None:
    """Make a store the one of the installation, whatever it was before, by a person's word.

    Raises:
        StoreError: It cannot be written.
    """
    store.set_mark(establish(store))


def forget_mark() -> None:
    """Let the next process that starts decide which store is the one, as in a new installation."""
    with apart() as connection:
        connection.execute(delete(_ROW))
