"""What the database refuses only because of what somebody else did in the same moment, and doing it anew.

PostgreSQL ends one of two transactions that wait for each other, and one that can no longer be put in order with the
others; both databases refuse the second of two rows that may be there once. Whoever is refused finds everything undone,
and sees on the second try what the other has written.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

from core.db.base import db
from core.db.transaction import commits

Result = TypeVar("Result")

TURNS = 4
"""How often something is done at most."""

PATIENCE_SECONDS = 5.0
"""After which nothing is tried again: who has waited for a lock until the database gave up is told so."""

_PAUSE_SECONDS = 0.05  # at most, and another one for each: two that met would otherwise meet again

# Codes of PostgreSQL (appendix A of its manual): serialization_failure, deadlock_detected, unique_violation.
_SQLSTATES: Final = frozenset({"40001", "40P01", "23505"})
# Extended result codes of SQLite: SQLITE_BUSY and SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED_SHAREDCACHE,
# SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY.
_SQLITE_CODES: Final = frozenset({5, 517, 262, 2067, 1555})


def is_conflict(error: DBAPIError) -> bool:
    """Return True when the database refused something only because of what others did in the same moment."""
    original = error.orig
    return (
        getattr(original, "sqlstate", None) in _SQLSTATES
        or getattr(original, "sqlite_errorcode", None) in _SQLITE_CODES
    )


def again(verb: Callable[[], Result], before_each: Callable[[], object] = lambda: None) -> Result:
    """Do something, and do it anew where a conflict has undone all of it.

    Args:
        verb: What is done. It may begin as often as it likes; once one of its transactions was committed, it is not
            begun again, since a part of it would be done twice.
        before_each: Called before each further turn, to put back what the database does not.

    Raises:
        DBAPIError: The conflict of the last turn, or of one that cannot be done anew.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    done = commits()
    for turn in range(1, TURNS + 1):
        try:
            return verb()
        except DBAPIError as error:
            db.session.rollback()
            late = turn == TURNS or time.monotonic() > until
            if late or commits() != done or not is_conflict(error):
                raise
        time.sleep(random.uniform(0, _PAUSE_SECONDS * turn))  # noqa: S311 (no secret)
        before_each()
    raise AssertionError("unreachable")
