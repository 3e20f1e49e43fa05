"""Whether the database is the one that the installation has worked with, or was restored from a copy.

Each claim of what leaves raises a number in the database, in the transaction that claims, and before anything leaves
the number is written outside of it: to a file of the data folder and to the queue. A database that is behind what is
remembered there was restored: what waits in it may have left since. Then nothing is claimed until a person has seen
what waits. A crash between the two leaves the database ahead, which means nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from flask import Flask, current_app
from redis.exceptions import RedisError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import clock
from core.companies.models import Company
from core.db import db, end_reading, on_commit, transaction
from core.errors import EnvoiError
from core.installation import marker
from core.installation.marker import Marker
from core.installation.models import THE_ROW, Installation, Sign
from core.jobs import queue_for
from core.registry import current_settings

logger = logging.getLogger(__name__)

_ROW = Installation.id == THE_ROW

SIGNS = {
    Sign.OLDER: "the database is older than what this installation remembers outside of it",
    Sign.COPIED: "the data folder was copied, moved to another file system or written back",
    Sign.UNKNOWN: "the database has worked before, but not with this data folder",
    Sign.TOLD: "somebody has said so",
}
"""For logs and the command line; pages say it in their own words."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing leaves until a person says go.

    Attributes:
        since: When it was noticed.
        sign: By what.
    """

    since: dt.datetime
    sign: Sign


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered outside of the database.

    Attributes:
        marker: By the file of the data folder, or None.
        queue: By the queue: the name of the installation and its generation, or None.
        away: True where the queue could not be asked.
    """

    marker: Marker | None
    queue: tuple[str, int] | None
    away: bool = False

    @property
    def silent(self) -> bool:
        """True where nobody can say anything: this host has never seen the database, and the queue is away."""
        return self.marker is None and self.away


class HeldError(EnvoiError):
    """Nothing is claimed: the installation is held, or was found to be restored just now."""


class RestoredError(HeldError):
    """The database was restored.

    Args:
        sign: How that is known.
    """

    def __init__(self, sign: Sign) -> None:
        super().__init__(f"The data were restored: {SIGNS[sign]}.")
        self.sign = sign


# -- what is remembered outside ------------------------------------------------------------------------


def _path() -> Path:
    return current_settings().data_dir / "installation"


def _queue() -> Any:
    return queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]


def remembered() -> Remembered:
    """Return what is remembered outside; ask before the database, or a claim of others would look like a restore."""
    queue = _queue()
    try:
        said = queue.connection.hgetall(f"envoi:{queue.name}:installation")
        by_queue = (said[b"name"].decode(), int(said[b"generation"])) if said else None
    except (RedisError, OSError):
        return Remembered(marker.read(_path()), None, away=True)
    except (KeyError, ValueError):
        by_queue = None
    return Remembered(marker.read(_path()), by_queue)


def must_wait() -> bool:
    """Return True for a process that may not begin yet: nobody can say now whether the database was restored.

    A host that comes while the queue is away has seen nothing of the others, who work well; as soon as the queue
    answers it is known.
    """
    outside = remembered()
    generation = db.session.scalar(select(Installation.generation).where(_ROW))
    end_reading()
    return outside.silent and bool(generation)


def remember(name: str, generation: int, *, anew: bool = False) -> None:
    """Write outside of the database how far it is.

    Args:
        name: Of the installation.
        generation: How far its database is.
        anew: True to write it whatever is remembered, since a person has said what holds.

    Raises:
        OSError: The file cannot be written. The queue may be away, and may forget.
    """
    marker.write(_path(), name, generation, anew=anew)
    queue = _queue()
    try:
        # Of two at once the lower may come last: it is then raised by the next claim, and the file has the higher.
        queue.connection.hset(
            f"envoi:{queue.name}:installation", mapping={"name": name, "generation": generation}
        )
    except (RedisError, OSError) as error:
        logger.info("The queue does not remember the generation (%s).", type(error).__name__)


def _sign(name: str, generation: int, outside: Remembered, *, claiming: bool = False) -> Sign | None:
    """Return by what it is known that the database was restored; None where nothing speaks for it.

    Args:
        name: Of the installation.
        generation: How far the database is.
        outside: What is remembered.
        claiming: True where others may have claimed since `outside` was asked for. Nothing at all is then no sign: the
            first claim may just be writing it down. Each process has looked for that when it started.
    """
    file = outside.marker
    by_queue = outside.queue[1] if outside.queue is not None and outside.queue[0] == name else None
    if max(by_queue or 0, file.generation if file is not None and file.name == name else 0) > generation:
        return Sign.OLDER
    # A queue that has seen the last claim proves that nothing was set back, whatever became of the folder. The one that
    # `envoi up` starts lies in the folder, and was copied with it.
    if by_queue == generation and not current_settings().redis_embedded:
        return None
    if file is None:
        # A fresh database has nothing that could have left; the queue has met this one, from another host.
        return None if generation == 0 or by_queue is not None or claiming else Sign.UNKNOWN
    if file.name != name:
        return Sign.UNKNOWN
    return Sign.COPIED if file.copied and generation > 0 else None


# -- holding and letting go ----------------------------------------------------------------------------


def install(app: Flask) -> None:  # noqa: ARG001 (signature of the contract)
    """Make the row of a new database, and of one from before there was such a row."""
    outside = remembered()
    with transaction() as session:
        if session.get(Installation, THE_ROW) is not None:
            return
        row = Installation(id=THE_ROW, name=secrets.token_hex(16), generation=0)
        session.add(row)
        fresh = session.scalar(select(Company.id).limit(1)) is None
        if not fresh and outside.marker is not None and outside.marker.generation:
            # This folder has seen a later database: this one is a backup from before there was such a row.
            row.held_since, row.held_sign = clock.now(), Sign.OLDER
    if hold() is None:
        remember(row.name, 0, anew=True)
    end_reading()


def hold() -> Hold | None:
    """Return since when and why nothing leaves, or None."""
    found = db.session.execute(
        select(Installation.held_since, Installation.held_sign).where(_ROW)
    ).one_or_none()
    if found is None or found.held_since is None:
        return None
    return Hold(found.held_since, found.held_sign or Sign.TOLD)


def verify() -> Hold | None:
    """Compare the database with what is remembered outside, hold what waits if it was restored, and return the hold.

    Every process does so when it starts, and the sweep again and again.
    """
    row, outside, sign = _look()
    if sign is not None:
        # Asked of the two in turn: others may have made the first claim of all in between, and nothing was remembered
        # before it. Whoever claims has looked before and written down what it saw, so a second look meets that; what
        # was restored looks the same again.
        row, outside, sign = _look()
    if row is not None and row.held_since is None:
        if sign is Sign.UNKNOWN and outside.silent:
            return None  # see `must_wait`
        if sign is not None:
            hold_back(sign)
        elif _behind(row.name, row.generation, outside):
            try:
                remember(row.name, row.generation, anew=True)
            except OSError as error:
                logger.warning("The file of the installation cannot be written: %s.", error)
    return hold()


def _look() -> tuple[Any, Remembered, Sign | None]:
    """Return the row, what is remembered outside, and the sign that the database was restored."""
    outside = remembered()
    # On SQLite a reading that began before would show the database as it was then: behind what others have claimed
    # since, as a restored one is.
    end_reading()
    row = db.session.execute(
        select(Installation.name, Installation.generation, Installation.held_since).where(_ROW)
    ).one_or_none()
    end_reading()
    return row, outside, _sign(row.name, row.generation, outside) if row is not None else None


def _behind(name: str, generation: int, outside: Remembered) -> bool:
    """Return True when what is remembered outside is not what the database says."""
    file = outside.marker
    known = file is not None and (file.name, file.generation, file.copied) == (name, generation, False)
    return not known or outside.queue != (name, generation)


def hold_back(sign: Sign) -> None:
    """Let nothing leave until a person says go."""
    with transaction() as session:
        session.execute(
            update(Installation)
            .where(_ROW, Installation.held_since.is_(None))
            .values(held_since=clock.now(), held_sign=sign)
        )
    logger.error("Nothing leaves until a person has seen what waits: %s.", SIGNS[sign])


def let_go() -> None:
    """Let leave what waits, once a person has decided about it: this is the real one.

    Raises:
        OSError: The file cannot be written; the hold stays.
    """
    _go_on(copy_since=None)


def declare_copy() -> None:
    """Go on as a copy beside the real one, once a person has said so: nothing of it leaves, it is captured instead.

    It gets a name of its own, or the queue, where both use one, would remember the copy's claims for the real one.

    Raises:
        OSError: The file cannot be written; the hold stays.
    """
    _go_on(copy_since=clock.now(), name=secrets.token_hex(16))


def _go_on(*, copy_since: dt.datetime | None, name: str = "") -> None:
    """End the hold.

    The generation goes beyond all that is remembered outside, and what is remembered follows. Whatever ends this
    halfway leaves the hold.
    """
    outside = remembered()
    known = [outside.marker.generation if outside.marker else 0, outside.queue[1] if outside.queue else 0]
    with transaction() as session:
        row = session.scalars(select(Installation).where(_ROW).with_for_update()).one()
        row.name = name or row.name
        name, generation = row.name, max(row.generation, *known) + 1
        row.generation = generation
    remember(name, generation, anew=True)
    with transaction() as session:
        session.execute(
            update(Installation).where(_ROW).values(held_since=None, held_sign=None, copy_since=copy_since)
        )


def copy_since() -> dt.datetime | None:
    """Return since when this is known to be a copy beside the real one, so that nothing leaves; else None."""
    return db.session.scalar(select(Installation.copy_since).where(_ROW))


def keeps_to_itself() -> bool:
    """Return True while other servers are not to be spoken to: the installation is held, or a copy."""
    found = db.session.execute(
        select(Installation.held_since, Installation.copy_since).where(_ROW)
    ).one_or_none()
    return found is not None and any(found)


# -- claims --------------------------------------------------------------------------------------------


def raise_generation(session: Session, outside: Remembered) -> tuple[str, int]:
    """Raise the generation, as the last statement of a transaction that claims what is to leave.

    Args:
        session: The transaction.
        outside: What was remembered before it began.

    Returns:
        What must be remembered outside before anything leaves: the name and the generation.

    Raises:
        HeldError: Nothing may leave.
        RestoredError: The database was restored; `hold_back` after the transaction.
    """
    row = session.execute(
        update(Installation)
        .where(_ROW, Installation.held_since.is_(None))
        .values(generation=Installation.generation + 1)
        .returning(Installation.name, Installation.generation)
    ).one_or_none()
    if row is None:
        raise HeldError("Nothing leaves until a person has seen what waited when the data were restored.")
    sign = _sign(row.name, row.generation - 1, outside, claiming=True)
    if sign is not None:
        raise RestoredError(sign)
    return row.name, row.generation


def note_decision() -> None:
    """Raise the generation for what a person has called back, inside the transaction that does.

    A database from before that decision is then known as such, and what was called back does not leave by it.
    """
    with transaction() as session:
        row = session.execute(
            update(Installation)
            .where(_ROW)
            .values(generation=Installation.generation + 1)
            .returning(Installation.name, Installation.generation)
        ).one_or_none()
        if row is not None:
            on_commit(partial(_remember_decision, row.name, row.generation))


def _remember_decision(name: str, generation: int) -> None:
    try:
        remember(name, generation)
    except OSError as error:
        logger.warning("The file of the installation cannot be written (%s); the sweep tries again.", error)
