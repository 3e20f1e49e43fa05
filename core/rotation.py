"""What is encrypted under which key, and encrypting all of it under the newest, while everything runs.

What is encrypted stands in columns of the type `core.db.Encrypted`, and begins with the name of its key: the database
is asked for both, so a module that brings such a column is found by itself. A value is written back only where it is
still what was read, so whoever writes in the same moment wins, and what they wrote is found by the next turn. The
former keys stay until a person drops them, so nothing is unreadable at any moment, however this ends.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from flask_babel import gettext
from sqlalchemy import Column, LargeBinary, bindparam, case, func, inspect, literal, select, update

from core import clock
from core.db import VERSION_TABLES, Base, Encrypted, again, db, empty_journal, end_reading, transaction
from core.errors import EnvoiError
from core.i18n import quoted
from core.installation.turns import alone
from core.key_ring import MARK_BEGINS, MARK_LENGTH, Key, KeyRing, named_in, new_key, write_keys
from core.mail.outcomes import printable
from core.registry import current_registry, current_settings
from core.vault import UnreadableError, encrypt_anew, key_ring, readable

BATCH = 100
"""Values that are written by one transaction: on SQLite whoever else writes waits for it."""

MOST_NAMED = 20
"""Rows that are named; of a column that has more the rest is counted."""

SETTLED = dt.timedelta(hours=1)
"""Whatever was being written when a key was replaced is there after so long."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What cannot be read, of one column.

    Attributes:
        what: For people, to be translated: "The password of the mail server".
        count: How many.
        key: The name of the key that is missing, or "" where it is not known.
        rows: The names of the rows, as far as they have one.
    """

    what: str
    count: int
    key: str
    rows: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """What cannot be read, why, and what to do."""
        what = str(gettext(self.what))
        if self.rows:
            what = f"{what} {quoted(*map(printable, self.rows))}"
        if not self.rows or self.count > len(self.rows):
            what = f"{what} ({self.count})"
        if self.key:
            why = gettext("the key %(name)s is missing.", name=self.key)
            do = gettext("Put that key back, or type the password again.")
        else:
            why = gettext("ENVOI_SECRET_KEY is not the one that it was saved under.")
            do = gettext("Set that one again, or type the password again.")
        sentence = gettext("%(what)s cannot be read: %(why)s", what=what, why=why)
        return f"{sentence} {do}"


@dataclass(slots=True)
class Found:
    """What is encrypted.

    Attributes:
        ring: The keys that there are.
        counts: How many values each key has encrypted, by its name.
        unreadable: What none of the keys opens.
    """

    ring: KeyRing
    counts: Counter[str] = field(default_factory=Counter)
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def behind(self) -> int:
        """How many values an older key than the newest has encrypted."""
        return self.counts.total() - self.counts[self.ring.newest.name]


def encrypted_columns() -> list[Column[Any]]:
    """Return the columns that hold what is encrypted, of all tables that are there."""
    there = set(inspect(db.engine).get_table_names())
    return [
        column
        for table in Base.metadata.sorted_tables
        if table.name in there
        for column in table.columns
        if isinstance(column.type, Encrypted)
    ]


def modules_apart() -> list[str]:
    """Return the names of modules that have tables here and are not enabled: what they have encrypted is not found."""
    versions = [name for name in inspect(db.engine).get_table_names() if name.startswith(VERSION_TABLES)]
    enabled = {module.name for module in current_registry().modules}
    return sorted({name.removeprefix(VERSION_TABLES) for name in versions} - enabled)


def look() -> Found:
    """Return what is encrypted under which key."""
    found = Found(key_ring())
    for column in encrypted_columns():
        _look_at(column, found)
    return found


def _mark_of(column: Column[Any]) -> Any:
    """Return the expression for the mark of a value, "" where it has none."""
    begins = func.substr(column, 1, len(MARK_BEGINS), type_=LargeBinary)
    mark = func.substr(column, 1, MARK_LENGTH, type_=LargeBinary)
    return case((begins == literal(MARK_BEGINS, LargeBinary), mark), else_=literal(b"", LargeBinary))


def _look_at(column: Column[Any], found: Found) -> None:
    marks = select(_mark_of(column).label("mark")).where(column.is_not(None)).subquery()
    counted = db.session.execute(select(marks.c.mark, func.count()).group_by(marks.c.mark)).all()
    for mark, count in sorted(counted):
        name = named_in(mark)
        if name is None:
            _try_unnamed(column, found)
        elif found.ring.named(name) is not None:
            found.counts[name] += count
        else:
            rows = _rows(column, _mark_of(column) == literal(mark, LargeBinary))
            found.unreadable.append(Unreadable(_type_of(column).what, count, name, rows))


def _try_unnamed(column: Column[Any], found: Found) -> None:
    """Try what was encrypted before keys had names: by the first key, unless somebody has exchanged that."""
    first = found.ring.keys[-1].name
    count = 0
    names: list[str] = []
    for data, name in db.session.execute(
        select(column, _name_of(column)).where(
            column.is_not(None), _mark_of(column) == literal(b"", LargeBinary)
        )
    ).yield_per(1000):
        if readable(data):
            found.counts[first] += 1
        else:
            count += 1
            names += [str(name)] if name and len(names) < MOST_NAMED else []
    if count:
        found.unreadable.append(Unreadable(_type_of(column).what, count, "", names))


def _type_of(column: Column[Any]) -> Encrypted:
    return cast("Encrypted", column.type)


def _name_of(column: Column[Any]) -> Any:
    named_by = _type_of(column).named_by
    return column.table.c[named_by] if named_by else literal("")


def _rows(column: Column[Any], condition: Any) -> list[str]:
    if not _type_of(column).named_by:
        return []
    wanted = select(_name_of(column)).where(condition).order_by(*column.table.primary_key).limit(MOST_NAMED)
    return [str(name) for name in db.session.scalars(wanted)]


# -- a newer key ---------------------------------------------------------------------------------------


def rotate(told: Callable[[str], object]) -> Found:
    """Encrypt everything under the newest key; make that key, unless one is there that not everything is under yet.

    Killed in the middle, it is called again and goes on.

    Args:
        told: Is told in a sentence what happens.

    Raises:
        KeyFileError: The new key cannot be kept; nothing has changed.
    """
    with alone():
        settings, found = current_settings(), look()
        end_reading()
        newest = found.ring.newest
        if settings.encryption_keys:
            told(f"Keys come from ENVOI_ENCRYPTION_KEYS; the newest is {newest.name}.")
        elif len(found.ring.keys) > 1 and found.behind:
            told(f"The change to the key {newest.name} was not finished; it goes on.")
        else:
            newest = _add_key(found.ring)
            told(f"The new key {newest.name} is in {settings.keys_file}.")
        for column in encrypted_columns():
            if changed := _rotate_column(column, newest):
                told(f"{column.table.name}.{column.name}: {changed} encrypted under {newest.name}.")
        # SQLite's journal would still have what was encrypted under the former key.
        empty_journal()
        found = look()
        end_reading()
        return found


def _add_key(ring: KeyRing) -> Key:
    key = new_key(clock.now())
    # The first key is that of ENVOI_SECRET_KEY, and stays there.
    write_keys(current_settings().keys_file, [key, *(one for one in ring.keys if one.made is not None)])
    return key


def _rotate_column(column: Column[Any], newest: Key) -> int:
    """Encrypt the values of a column under the newest key, and return how many; what cannot be read is left."""
    changed = 0
    # Until a turn finds nothing: somebody may have written meanwhile what was encrypted before there was the key.
    while turn := sum(again(partial(_write, column, batch)) for batch in _batches(column, newest)):
        changed += turn
    return changed


def _batches(column: Column[Any], newest: Key) -> Iterator[list[tuple[Any, Any, Any]]]:
    """Yield what is not yet under the newest key as (id, as it is, as it is to be)."""
    (key,) = column.table.primary_key
    old = (
        select(key, column)
        .where(column.is_not(None), _mark_of(column) != literal(newest.mark, LargeBinary))
        .order_by(key)
        .limit(BATCH)
    )
    rows = db.session.execute(old).all()
    while rows:
        end_reading()
        anew = []
        for identity, data in rows:
            try:
                anew.append((identity, data, encrypt_anew(data)))
            except UnreadableError:
                continue
        if anew:
            yield anew
        rows = db.session.execute(old.where(key > rows[-1][0])).all()
    end_reading()


def _write(column: Column[Any], batch: Sequence[tuple[Any, Any, Any]]) -> int:
    (key,) = column.table.primary_key
    # As it was read, or not at all: a token that was renewed meanwhile must not go.
    same = update(column.table).where(key == bindparam("of"), column == bindparam("was", type_=column.type))
    changed = 0
    with transaction() as session:
        connection = session.connection()
        for identity, was, to_be in batch:
            done = connection.execute(same.values({column.name: to_be}), {"of": identity, "was": was})
            changed += done.rowcount
    return changed


def forget_key(name: str) -> None:
    """Drop a key under which nothing is any more.

    Raises:
        EnvoiError: It is not here, is still needed, or is not ours to drop.
        KeyFileError: The file cannot be written.
    """
    with alone():
        settings, found = current_settings(), look()
        end_reading()
        key = found.ring.named(name)
        if key is None:
            raise EnvoiError(f"There is no key {name}: `envoi key list` names them.")
        if settings.encryption_keys or key.made is None:
            raise EnvoiError(
                f"The key {name} comes from the environment or from secret.key: take it out there."
            )
        if key == found.ring.newest:
            raise EnvoiError(f"The key {name} is the newest: `envoi key rotate` makes another one first.")
        if found.counts[name]:
            raise EnvoiError(
                f"{found.counts[name]} values are still encrypted under {name}: `envoi key rotate` first."
            )
        if apart := modules_apart():
            raise EnvoiError(
                f"These modules are not enabled, and may have encrypted something under {name}: {', '.join(apart)}. "
                "Enable them for this."
            )
        newer = found.ring.keys[found.ring.keys.index(key) - 1]
        if newer.made is None or clock.now() - newer.made < SETTLED:
            raise EnvoiError(
                f"The key {name} was replaced less than an hour ago; what is being written may need it. Try later."
            )
        write_keys(
            settings.keys_file, [one for one in found.ring.keys if one.made is not None and one != key]
        )
