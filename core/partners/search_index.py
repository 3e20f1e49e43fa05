"""Customers and contacts by what they are called: the few that a word can mean are found by an index of trigrams.

The index rules out the others, and nothing more: whoever searches asks `core.matching` of those that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, ForeignKey, SQLColumnExpression, Table, Text, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, UOWTransaction, mapped_column

from core.db import Base, db
from core.matching import Named, fold, folded, matching, words
from core.partners.models import Partner
from core.trigrams import TRIGRAM, hits

FEW = 500
"""So many are handed to the query one by one; a word that more have is soon found among all of them."""


class PartnerSearch(Base):
    """What a customer or contact can be found by, folded by `core.matching.fold`; written by itself.

    The trigram index over it is made by the migrations, since a model cannot say it: on SQLite the FTS5 table
    `core_partner_search_index`, kept by triggers, on PostgreSQL the GIN index `ix_core_partner_search_text`.
    """

    __tablename__ = "core_partner_search"
    __table_args__ = (
        {"info": {"made_by_migrations": ("core_partner_search_index", "ix_core_partner_search_text")}},
    )

    partner_id: Mapped[int] = mapped_column(
        ForeignKey("core_partner.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    """Whose it is; the row goes with it."""
    text: Mapped[str] = mapped_column(Text)
    """Name, address, city, customer number and VAT number, each behind a line break: by it a beginning is found."""


PARTNER_SEARCH = cast("Table", PartnerSearch.__table__)


def matching_partners(
    text: str, *places: SQLColumnExpression[str], begins: bool = False
) -> list[ColumnElement[bool]]:
    """Return the conditions of `core.matching.matching` over columns of `Partner`, by the index where that helps.

    Args:
        text: What was typed.
        places: Columns of `PartnerSearch.text`.
        begins: True when one of them must begin with the whole text.
    """
    few = few_partners(text, begins=begins)
    found = matching(text, *places, begins=begins)
    return found if few is None else [Partner.id.in_(few), *found]


def few_partners(text: str, *, begins: bool = False) -> list[int] | None:
    """Return all whom a text can mean; None where those are many, or it is too short to be looked for by the index.

    Args:
        text: What was typed.
        begins: True where one of the fields must begin with it.
    """
    return _few([f"\n{' '.join(folded(text).split())}"] if begins else words(text))


def partner_named(key: Any) -> Named:
    """Return the name of the customer that a column refers to, as a place where words may stand."""
    return Named(key, Partner.id, (Partner.name,), _may_be_named)


def _may_be_named(word: str) -> ColumnElement[bool] | None:
    few = _few([word])
    return None if few is None else Partner.id.in_(few)


def _few(typed: Sequence[str]) -> list[int] | None:
    """Return whom some words can mean, all of them; None where those are many, or no word is long enough."""
    if not any(len(word) >= TRIGRAM for word in typed):
        return None
    asked = hits(
        PARTNER_SEARCH.c.partner_id, PARTNER_SEARCH.c.text, "core_partner_search_index", typed, FEW + 1
    )
    found = list(db.session.scalars(asked))
    return found if len(found) <= FEW else None


@event.listens_for(Session, "after_flush")
def _write(session: Session, _context: UOWTransaction) -> None:
    changed = [row for row in (*session.new, *session.dirty) if isinstance(row, Partner)]
    if not changed:
        return
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    statement = (postgresql.insert if is_postgresql else sqlite.insert)(PARTNER_SEARCH)
    session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=[PARTNER_SEARCH.c.partner_id], set_={"text": statement.excluded.text}
        ),
        [{"partner_id": row.id, "text": _text_of(row)} for row in changed],
    )


def _text_of(row: Partner) -> str:
    fields = (row.name, row.email, row.city, row.number, row.vat)
    return fold("".join(f"\n{' '.join(field.split())}" for field in fields if field))
