"""Backups while everything runs, restoring them, and moving to another database."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy import Connection, Engine

from core import __version__, clock, migrate
from core.app import create_app
from core.backup import folder as folders
from core.backup.folder import Manifest, TableEntry
from core.backup.loading import Incoming, demand_empty, load, make_tables
from core.backup.tables import Figures, Shape, figures_of, last_id, read_rows, shapes
from core.db import VERSION_TABLES, db, end_reading
from core.errors import EnvoiError
from core.file_place import PlaceKind
from core.files import FileStore
from core.files.copying import copy_files
from core.files.database import DatabaseStore
from core.installation.models import THE_ROW, Installation, Sign
from core.installation.turns import alone
from core.pulse import pulse
from core.registry import current_settings
from core.rotation import look
from core.vault import key_ring

Told = Callable[[str], object]


@contextmanager
def _as_it_is_now(engine: Engine) -> Iterator[Connection]:
    """Read a database as it is at one moment, whatever others write meanwhile."""
    on_postgresql = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    options = on_postgresql if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def _versions(connection: Connection, all_shapes: list[Shape]) -> dict[str, str]:
    query: dict[str, Any] = {
        one.name.removeprefix(VERSION_TABLES): sa.select(sa.column("version_num")).select_from(one.table)
        for one in all_shapes
        if one.name.startswith(VERSION_TABLES)
    }
    found = {name: connection.scalar(asked) for name, asked in query.items()}
    return {name: str(version) for name, version in found.items() if version is not None}


# -- to a folder and back ------------------------------------------------------------------------------


def backup(folder: Path, keys_into: Path | None, told: Told) -> Manifest:
    """Copy the database as it is at one moment, and the files, into a new folder; everything goes on meanwhile.

    Args:
        folder: A new or empty one.
        keys_into: Another folder for the keys, or None to leave them where they are.
        told: Is told in a sentence what happens.

    Raises:
        EnvoiError: There is something in the folder, or the keys would lie in it.
    """
    settings, store = current_settings(), _store()
    if keys_into is not None and keys_into.resolve().is_relative_to(folder.resolve()):
        raise EnvoiError("The keys must not lie in the backup: whoever has both reads every password.")
    migrate.demand_schema()
    folders.begin(folder)
    # Most of them before the rows, so that the rest is quick; once more behind them, for what came meanwhile.
    copy_files(store, folders.files_of(folder))
    found = look()
    keys = [key.name for key in found.ring.keys if found.counts[key.name]]
    end_reading()
    tables: dict[str, TableEntry] = {}
    with _as_it_is_now(db.engine) as connection:
        all_shapes = shapes(connection)
        versions = _versions(connection, all_shapes)
        for shape in all_shapes:
            if not shape.name.startswith(VERSION_TABLES):
                figures = folders.write_table(folder, shape, read_rows(connection, shape))
                columns = {name: kind.value for name, kind in shape.columns.items()}
                tables[shape.name] = TableEntry(
                    columns, figures.rows, figures.checksum, last_id(connection, shape)
                )
    copied = copy_files(store, folders.files_of(folder))
    for sha256 in copied.damaged:
        told(f"The file {sha256} is damaged in {store.name}, and not in the backup.")
    files = copied.there
    manifest = Manifest(
        clock.now().isoformat(), __version__, db.engine.dialect.name, versions, tables, files, keys
    )
    folders.finish(folder, manifest)
    told(
        f"{sum(one.rows for one in tables.values())} rows of {len(tables)} tables and {files} files are in {folder}."
    )
    if keys_into is not None:
        keys_into.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (settings.data_dir / "secret.key", settings.keys_file):
            if path.exists():
                shutil.copy2(path, keys_into / path.name)
        told(f"The keys are in {keys_into}: keep them apart from the backup.")
    else:
        told(
            "The keys are not in it. Keep secret.key and encryption.keys, or what ENVOI_SECRET_KEY and "
            "ENVOI_ENCRYPTION_KEYS say, apart from it: without them the passwords in it cannot be read."
        )
    return manifest


def restore(app: Flask, folder: Path, told: Told, *, without_keys: bool = False) -> Manifest:
    """Put a backup into an empty installation; nothing leaves of it until a person has seen what waits.

    Args:
        app: The application.
        folder: Of the backup.
        told: Is told in a sentence what happens.
        without_keys: True to go on where keys are missing, so that passwords must be typed again.

    Raises:
        EnvoiError: It is no backup, the installation is not empty, or keys are missing; no row was written.
    """
    manifest = folders.read_manifest(folder)
    missing = [name for name in manifest.keys if key_ring().named(name) is None]
    if missing and not without_keys:
        raise EnvoiError(
            f"Passwords in the backup need keys that are not here: {', '.join(missing)}. Put secret.key and "
            "encryption.keys of that installation into the data folder, or set ENVOI_SECRET_KEY and "
            "ENVOI_ENCRYPTION_KEYS. With --without-keys the passwords must be typed again."
        )
    with alone():
        demand_empty()
        make_tables(manifest.versions)
        files = folders.put_files(folder, _store())
        told(f"{files} files are in place.")
        load(
            {
                name: Incoming(list(entry.columns), partial(folders.read_table, folder, name))
                for name, entry in manifest.tables.items()
            },
            {name: entry.figures for name, entry in manifest.tables.items()},
            _hold,
        )
        told(f"{sum(one.rows for one in manifest.tables.values())} rows are in place, each as it was.")
    migrate.upgrade(app)
    return manifest


def _hold(connection: Connection) -> None:
    connection.execute(
        sa.update(Installation)
        .where(Installation.id == THE_ROW)
        .values(held_since=clock.now(), held_sign=Sign.TOLD)
    )


def _store() -> FileStore:
    return cast("FileStore", current_app.extensions["envoi_files"])


# -- to another database -------------------------------------------------------------------------------


def copy_database(url: str, told: Told) -> Mapping[str, Figures]:
    """Copy everything into another, empty database, and prove that it is the same there.

    Args:
        url: Of the other database.
        told: Is told in a sentence what happens.

    Raises:
        EnvoiError: Processes are running, the other database is not empty, or something arrived otherwise.
    """
    if alive := pulse().alive:
        names = ", ".join(f"{count} {part}" for part, count in alive.items())
        raise EnvoiError(
            f"Processes are running ({names}): stop them first, or what they write would be lost."
        )
    migrate.demand_schema()
    settings = current_settings()
    source = db.engine
    if sa.make_url(url) == source.url:
        raise EnvoiError("That is the database that is in use.")
    target = create_app(dataclasses.replace(settings, database_url=url))
    with _as_it_is_now(source) as connection:
        found = [shape for shape in shapes(connection) if not shape.name.startswith(VERSION_TABLES)]
        versions = _versions(connection, shapes(connection))
        expected = {shape.name: _expected(connection, shape) for shape in found}
        incoming = {
            shape.name: Incoming(list(shape.columns), partial(read_rows, connection, shape))
            for shape in found
        }
        with target.app_context():
            try:
                with alone():
                    demand_empty()
                    make_tables(versions)
                    if settings.files.kind is PlaceKind.DATABASE:
                        copied = copy_files(DatabaseStore(engine=source), DatabaseStore(engine=db.engine))
                        told(f"{copied.there} files are there, each as it is here.")
                        for sha256 in copied.damaged:
                            told(f"The file {sha256} is damaged here, and not there.")
                    load(incoming, expected, lambda _connection: None)
            finally:
                # Behind the lock, which has a connection of its own.
                db.session.remove()
                db.engine.dispose()
    told(
        f"{sum(one.rows for one in expected.values())} rows of {len(expected)} tables are there, each as it is here."
    )
    return expected


def _expected(connection: Connection, shape: Shape) -> Figures:
    figures = figures_of(connection, shape)
    figures.last_id = last_id(connection, shape)
    return figures


def as_rows(figures: Mapping[str, Figures]) -> list[dict[str, Any]]:
    """Return the proof for a list, one line for each table with rows."""
    return [
        {"table": name, "rows": one.rows, "checksum": one.checksum}
        for name, one in sorted(figures.items())
        if one.rows
    ]
