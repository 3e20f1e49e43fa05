"""SQL conditions that find what a person types: every word of it, in any case, with or without accents.

Every list and every field that searches asks by them, so that what one of them finds, all find.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, SQLColumnExpression, and_, cast, func, or_, select, true

from core.db import db
from core.db.aside import one_by_one

MAX_WORDS = 6  # each is a condition of the query
MAX_TYPED = 100  # characters; no name is longer
# Latin, Greek and Cyrillic letters with their accents: for others the letter itself is looked for.
_ALPHABETS = ((0x41, 0x24F), (0x370, 0x52F), (0x1E00, 0x1FFF))


@dataclass(frozen=True, slots=True)
class Named:
    """Columns of a row that a column refers to, as places where words may stand.

    Attributes:
        key: Refers to the row; may be NULL.
        identity: What it refers to.
        columns: The columns of that row.
        narrowed: Returns for a folded word a condition that all rows keep to in which it stands, by an index; None
            where those are many. Left out where there are few rows of that kind.
    """

    key: Any
    identity: Any
    columns: tuple[SQLColumnExpression[str], ...]
    narrowed: Callable[[str], ColumnElement[bool] | None] | None = None


def matching(
    text: str, *places: SQLColumnExpression[str] | Named, begins: bool = False
) -> list[ColumnElement[bool]]:
    """Return the conditions of a search text: each of its words occurs in one of the places.

    Case and accents make no difference: both databases look for classes of letters.

    Args:
        text: What was typed.
        places: Where the words may stand.
        begins: True when one of the places must begin with the whole text.
    """
    if begins:
        return [or_(*(_stands(place, folded(text), begins=True) for place in places))]
    return [or_(*(_stands(place, word) for place in places)) for word in words(text)]


def found_in(text: str, *places: SQLColumnExpression[str] | Named) -> ColumnElement[bool]:
    """Return the same as one condition; a text without words finds everything."""
    return and_(true(), *matching(text, *places))


def _stands(
    place: SQLColumnExpression[str] | Named, word: str, *, begins: bool = False
) -> ColumnElement[bool]:
    if not isinstance(place, Named):
        return like(place, word, begins=begins)
    named = or_(*(like(column, word, begins=begins) for column in place.columns))
    few = place.narrowed(word) if place.narrowed is not None else None
    if place.narrowed is not None and few is None:
        # So many that the first rows of the list that have one are soon found: to find all first would take longer.
        asked = select(place.identity).where(place.identity == place.key, named)
        return one_by_one(asked.correlate_except(place.identity.table))
    # The few rows of that name are found once, and not for each row of the list.
    among = select(place.identity).where(named if few is None else and_(few, named))
    found: ColumnElement[bool] = place.key.in_(among)
    return found


def fold(text: str) -> str:
    """Return a text as it is compared: without case and without accents."""
    if text.isascii():
        return text.lower()
    # Letters and accents apart; also ligatures and wide forms, as they come out of PDFs.
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()


def folded(text: str) -> str:
    """Return what was typed as it is compared, and without what nobody types."""
    return fold(text.replace("\0", "").strip()[:MAX_TYPED])


def words(text: str) -> list[str]:
    """Return the words of a search text, folded; those beyond the first few are not looked for."""
    return list(dict.fromkeys(folded(text).split()))[:MAX_WORDS]


@cache
def _letters() -> dict[str, str]:
    """Return all letters that a folded letter stands for."""
    classes: dict[str, set[str]] = {}
    for first, last in _ALPHABETS:
        for letter in map(chr, range(first, last + 1)):
            plain = folded(letter)
            if len(plain) == 1 and letter.isalpha():
                classes.setdefault(plain, {plain}).add(letter)
    return {plain: "".join(sorted(letters)) for plain, letters in classes.items()}


def like(column: SQLColumnExpression[str], word: str, *, begins: bool = False) -> ColumnElement[bool]:
    """Return the condition that a folded text occurs in a column, or that the column begins with it."""
    letters = _letters()
    if db.engine.dialect.name != "sqlite":
        pattern = "".join(
            f"[{letters[letter]}]" if letter in letters else re.escape(letter) for letter in word
        )
        return column.regexp_match(f"^{pattern}" if begins else pattern)
    pattern = "".join(f"[{letters.get(letter, letter)}]" for letter in word)
    # A bracket cannot stand for itself otherwise, and a caret must not turn a class around.
    pattern = pattern.replace("[^]", "^").replace("[]]", "]")
    glob = column.op("GLOB", is_comparison=True)(f"{pattern}*" if begins else f"*{pattern}*")
    # Classes are slow there, and most names have no letter that needs one.
    place = func.instr(func.lower(column), word)
    return or_(place == 1 if begins else place > 0, and_(beyond_ascii(column), glob))


def beyond_ascii(column: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Return the condition that a text has letters whose case only Python knows in full."""
    if db.engine.dialect.name == "sqlite":
        return func.length(column) < func.length(cast(column, LargeBinary))
    return func.length(column) < func.octet_length(column)
