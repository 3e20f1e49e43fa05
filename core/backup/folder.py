"""The folder of a backup: rows, files, and what says that it is whole.

`backup.json` is written last: a folder without it is no backup. Keys are never in it.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.backup.tables import Figures, Kind, Shape
from core.errors import EnvoiError
from core.files import FileStore, FolderStore
from core.files.copying import copy_files

FORMAT = 1
"""Raised when a former program could not read it any more."""

MANIFEST = "backup.json"
ROWS = "database"
FILES = "files"


class NoBackupError(EnvoiError):
    """A folder is no whole backup, or is damaged."""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table of a backup.

    Attributes:
        columns: The kind of each column, in the order of the values.
        rows: How many.
        checksum: See `Figures`.
        last_id: See `Figures`.
    """

    columns: dict[str, str]
    rows: int
    checksum: str
    last_id: int | None

    @property
    def figures(self) -> Figures:
        """What the rows must be."""
        return Figures(self.rows, int(self.checksum, 16), self.last_id)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes:
        made: When, by ISO 8601.
        version: Of Envoi.
        database: Of which kind.
        versions: The version of the tables of each module.
        tables: By name.
        files: How many files there are.
        keys: The names of the keys that its secrets need.
    """

    made: str
    version: str
    database: str
    versions: dict[str, str]
    tables: dict[str, TableEntry]
    files: int
    keys: list[str]


def begin(folder: Path) -> None:
    """Make the folder of a backup.

    Raises:
        EnvoiError: There is something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EnvoiError(f"{folder} is not an empty folder: name a new one for each backup.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ROWS).mkdir(mode=0o700)
    (folder / FILES).mkdir(mode=0o700)


def write_table(folder: Path, shape: Shape, rows: Iterator[list[Any]]) -> Figures:
    """Write the rows of a table, a line each, and return what is proof of them."""
    figures = Figures()
    with _rows_of(folder, shape.name).open("wb") as raw:
        with gzip.open(raw, "wt", encoding="utf-8", compresslevel=5) as file:
            for row in rows:
                figures.add(row, shape.columns.values())
                file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        _to_disk(raw.fileno())
    return figures


def read_table(folder: Path, name: str) -> Iterator[list[Any]]:
    """Yield the rows of a table.

    Raises:
        NoBackupError: The file is damaged.
    """
    path = _rows_of(folder, name)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise NoBackupError(
            f"{path} is missing or damaged: use another backup. Nothing was written."
        ) from error


def _rows_of(folder: Path, name: str) -> Path:
    return folder / ROWS / f"{name}.jsonl.gz"


def files_of(folder: Path) -> FolderStore:
    """Return the files of a backup: a store like any other."""
    return FolderStore(folder / FILES)


def put_files(folder: Path, store: FileStore) -> int:
    """Put the files of a backup into the store, and return how many.

    Raises:
        NoBackupError: One is damaged.
        StoreError: The store cannot be reached, or takes no more.
    """
    source = files_of(folder)
    copied = copy_files(source, store, anew=True)
    if copied.damaged:
        raise NoBackupError(
            f"{source.path(copied.damaged[0])} is damaged: use another backup. Nothing was written to the database."
        )
    return copied.there


def finish(folder: Path, manifest: Manifest) -> None:
    """Say that a backup is whole, once all of it is on the disk."""
    draft = folder / f"{MANIFEST}.tmp"
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(manifest)}, file, indent=1)
        file.flush()
        _to_disk(file.fileno())
    draft.replace(folder / MANIFEST)


def _to_disk(descriptor: int) -> None:
    os.fsync(descriptor)


def read_manifest(folder: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises:
        NoBackupError: The folder is no backup, or one that was not finished, or of a newer program.
    """
    path = folder / MANIFEST
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if said.pop("format") != FORMAT:
            raise NoBackupError(f"The backup in {folder} was made by a newer release: install that one.")
        tables: Mapping[str, Any] = said.pop("tables")
        entries = {name: TableEntry(**entry) for name, entry in tables.items()}
        for entry in entries.values():
            _ = entry.figures, [Kind(kind) for kind in entry.columns.values()]
        return Manifest(tables=entries, **said)
    except FileNotFoundError:
        unfinished = " It was not finished." if (folder / ROWS).is_dir() else ""
        raise NoBackupError(f"{folder} is no backup: it has no {MANIFEST}.{unfinished}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoBackupError(f"{path} cannot be read or is damaged: use another backup.") from error
