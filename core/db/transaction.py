"""Transactions of the services, and what must happen only after they have been committed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from core.db.base import db

logger = logging.getLogger(__name__)

_CALLBACKS = "envoi_on_commit"
_DEPTH = "envoi_depth"
_COMMITS = "envoi_commits"


@contextmanager
def transaction() -> Iterator[Session]:
    """Run a block as one writing transaction, and commit it at the end.

    A nested block joins the outer one. What was read before is forgotten and read again, so a service
    decides on the rows as they are now. On SQLite the write lock is taken first (BEGIN IMMEDIATE).

    Yields:
        The session.

    Raises:
        Whatever the block raises, after everything was rolled back.
    """
    session = db.session()
    if session.info.get(_DEPTH):
        yield session
        return
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("Rows were changed outside of a transaction.")
    session.commit()
    # SQLite then begins IMMEDIATE: asked for in the middle, the lock could not be had without losing what was
    # read.
    session.connection(execution_options={"envoi_write": True})
    session.info[_DEPTH] = 1
    session.info[_CALLBACKS] = []
    try:
        yield session
        session.commit()
        session.info[_COMMITS] = commits() + 1
    except BaseException:
        session.rollback()
        session.info[_CALLBACKS] = []
        raise
    finally:
        session.info[_DEPTH] = 0
    # Outside of the block: a callback may begin a transaction of its own, and its failure undoes nothing.
    callbacks: list[Callable[[], object]] = session.info.pop(_CALLBACKS, [])
    for callback in callbacks:
        callback()


def commits() -> int:
    """Return how many transactions this session has committed; a request, a job has a session of its own."""
    return int(db.session().info.get(_COMMITS, 0))


def on_commit(callback: Callable[[], object]) -> None:
    """Call back once the running transaction is committed, never if it is rolled back.

    Raises:
        RuntimeError: No transaction is running.
    """
    session = db.session()
    if not session.info.get(_DEPTH):
        raise RuntimeError("on_commit() needs a running transaction().")
    session.info[_CALLBACKS].append(callback)


def end_reading() -> None:
    """End the reading transaction, so that nothing stays open while the caller waits for the network."""
    session = db.session()
    if session.info.get(_DEPTH):
        raise RuntimeError("A transaction must not stay open across the network.")
    session.commit()


@contextmanager
def apart(*, write: bool = True, engine: Engine | None = None) -> Iterator[Connection]:
    """Run a block as a transaction of its own, beside the one that may be running, and commit it at the end.

    On SQLite, where one writes at a time, it joins a running `transaction()`.

    Args:
        write: False where the block only reads.
        engine: Of the database; None for that of the application.

    Yields:
        The connection.
    """
    own = db.engine
    session = db.session()
    if (engine or own) is own and own.dialect.name == "sqlite" and session.info.get(_DEPTH):
        yield session.connection()
        return
    with (engine or own).connect().execution_options(envoi_write=write) as connection, connection.begin():
        yield connection
