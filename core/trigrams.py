"""Words that are found by any three letters of theirs, among very many folded texts.

A module keeps the texts, folded by `core.matching.fold`, in a table with one column beside its key; its migrations make
the index over them: FTS5 with trigrams on SQLite, `pg_trgm` on PostgreSQL (`core/migrations/versions/0023_…`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, column, select, table

from core.db import db

TRIGRAM = 3
"""Shorter words have no trigram to be found by."""


def contain(place: SQLColumnExpression[str], words: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return the conditions that each word stands in a folded text."""
    return [place.contains(word, autoescape=True) for word in words]


def hits(key: Any, text: Any, index: str, words: Sequence[str], limit: int | None = None) -> Select[int]:
    """Return what asks the index for the keys of texts that hold all words, on SQLite the highest keys first.

    Words without a trigram are compared.

    Args:
        key: The column that says which row a text is of.
        text: The column of the texts.
        index: The name of the FTS5 table; PostgreSQL finds its index itself.
        words: Folded, one of them with a trigram at least.
        limit: How many keys are wanted at most; None for all.
    """
    if db.engine.dialect.name == "postgresql":
        # Planned as a whole, not for its first rows: a scan of all texts would look cheap for those.
        found = select(key.label("key")).where(*contain(text, words)).cte("hits")
        found = found.prefix_with("MATERIALIZED", dialect="postgresql")
        return select(found.c.key).limit(limit)
    fts = table(index, column("rowid"), column(index))
    # In double quotes everything is plain text, but for the quote itself, which is doubled.
    phrase = " ".join('"' + word.replace('"', '""') + '"' for word in words if len(word) >= TRIGRAM)
    statement = (
        select(fts.c.rowid).where(fts.c[index].op("MATCH")(phrase)).order_by(fts.c.rowid.desc()).limit(limit)
    )
    short = [word for word in words if len(word) < TRIGRAM]
    if short:
        own = select(text).where(key == fts.c.rowid).scalar_subquery()
        statement = statement.where(*contain(own, short))
    return statement
