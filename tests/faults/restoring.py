"""Copies of an installation's data, put back as people do it: a file, a dump, the whole data folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psycopg
from flask import Flask
from sqlalchemy.engine import make_url

from core.config import Settings
from core.db import db
from tests.outbox.processes import ask, terminate_connections


def disconnect() -> None:
    """Let go of the database, as the test's own process must before it is replaced."""
    db.session.rollback()
    db.session.expire_all()
    db.engine.dispose()


class Backup:
    """A copy of the database, as it was when this was made."""

    def __init__(self, app: Flask, folder: Path) -> None:
        self._settings: Settings = app.extensions["envoi_settings"]
        self._url = make_url(self._settings.database_url)
        self._folder = folder
        folder.mkdir()
        disconnect()
        if self._url.get_backend_name() == "sqlite":
            ask(self._settings, "PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy2(str(self._url.database), folder / "envoi.db")
        else:
            self._admin(f'DROP DATABASE IF EXISTS "{self._copy}"')
            terminate_connections(self._settings)
            self._admin(f'CREATE DATABASE "{self._copy}" TEMPLATE "{self._url.database}"')

    @property
    def _copy(self) -> str:
        return f"{self._url.database}_backup"

    def _admin(self, statement: str) -> None:
        with psycopg.connect(
            host=self._url.host,
            port=self._url.port or 5432,
            user=self._url.username,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def restore(self) -> None:
        """Put it in the place of the database; nobody may be connected."""
        disconnect()
        if self._url.get_backend_name() == "sqlite":
            path = Path(str(self._url.database))
            for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                name.unlink(missing_ok=True)
            shutil.copy2(self._folder / "envoi.db", path)
        else:
            terminate_connections(self._settings)
            self._admin(f'DROP DATABASE "{self._url.database}" WITH (FORCE)')
            self._admin(f'CREATE DATABASE "{self._url.database}" TEMPLATE "{self._copy}"')

    def remove(self) -> None:
        """Remove the copy from the server of PostgreSQL."""
        if self._url.get_backend_name() != "sqlite":
            self._admin(f'DROP DATABASE IF EXISTS "{self._copy}"')


def copy_folder(source: Path, target: Path, *flags: str) -> None:
    """Copy a folder with everything that a copy can carry over, over what is there."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", *flags, f"{source}/.", str(target)], check=True)


def tar_folder(source: Path, target: Path) -> None:
    """Copy a folder by an archive, over what is there."""
    target.mkdir(parents=True, exist_ok=True)
    archive = source.with_name(f"{source.name}.tar")
    subprocess.run(["tar", "-C", str(source), "-cf", str(archive), "."], check=True)
    subprocess.run(["tar", "-C", str(target), "-xf", str(archive)], check=True)
