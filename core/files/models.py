"""The tables of the file store: which one it is, and the files where the database keeps them.

They belong to the place where the data are, not to the data: neither a backup nor a copy of the database has them.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, UtcDateTime

THE_ROW = 1


class FileStoreMark(Base):
    """The one row that says which store is the one of this installation."""

    __tablename__ = "core_file_store"
    __table_args__ = (CheckConstraint(f"id = {THE_ROW}", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=THE_ROW)
    """Always the same, so that there is one row."""
    mark: Mapped[str] = mapped_column(String(32))
    """Made at random by the first process; the store bears it as well."""


class StoredFile(Base):
    """A file that the database keeps, or a mark of the store, which has no bytes."""

    __tablename__ = "core_stored_file"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of its bytes; a mark is shorter."""
    touched_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When it was stored, or somebody was last about to refer to it."""


class StoredChunk(Base):
    """A part of the bytes of a file."""

    __tablename__ = "core_stored_chunk"

    sha256: Mapped[str] = mapped_column(ForeignKey(StoredFile.sha256, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 0, without gaps."""
    octets: Mapped[bytes] = mapped_column(LargeBinary)
    """At most `core.files.database.CHUNK` of them."""


STORE_TABLES = frozenset(model.__tablename__ for model in (FileStoreMark, StoredFile, StoredChunk))
