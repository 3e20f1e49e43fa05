"""Customers and contacts by what they are called: the few that a word can mean are found by an index of trigrams.

The index rules out the others, and nothing more: whoever searches asks `core.matching` of those that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVarTuple, cast

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Select,
    SQLColumnExpression,
    Table,
    Text,
    event,
    exists,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, UOWTransaction, mapped_column

from core.db import Base, db, transaction
from core.matching import Named, fold, folded, matching, words
from core.partners.models import Partner
from core.trigrams import TRIGRAM, hits

Ts = TypeVarTuple("Ts")

FEW = 500
"""So many are handed to the query one by one; a word that more have is soon found among all of them."""


BATCH = 500
"""So many of those that were missing are written in one transaction."""


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


def matching_partners(text: str, *places: SQLColumnExpression[str]) -> list[ColumnElement[bool]]:
    """Return the conditions of `core.matching.matching` over columns of `Partner`, by the index where that helps.

    Args:
        text: What was typed.
        places: Columns of `PartnerSearch.text`.
    """
    few = few_partners(text)
    found = matching(text, *places)
    return found if few is None else [Partner.id.in_(few), *found]


def by_name(query: Select[*Ts], text: str, *places: SQLColumnExpression[str]) -> Select[*Ts]:
    """Return a query over `Partner` kept to those whom a text fits, in the order of their names.

    Args:
        query: Without an order.
        text: What was typed.
        places: Columns of `PartnerSearch.text`.
    """
    few = few_partners(text)
    query = query.where(*matching(text, *places))
    if few is None:
        return query.order_by(Partner.name, Partner.id)
    # What is computed has no index: to walk that of the names would be to look at everybody for the few.
    return query.where(Partner.id.in_(few)).order_by(func.coalesce(Partner.name, ""), Partner.id)


def few_partners(text: str) -> list[int] | None:
    """Return all whom a text can mean; None where those are many, or it is too short to be looked for by the index."""
    return _few(words(text))


def beginning(text: str) -> Select[int] | None:
    """Return what selects all who have a field that begins with a text; None where it is too short for the index.

    However many they are: those whose names begin alike stand together in the order of names, behind all the others.
    """
    typed = f"\n{' '.join(folded(text).split())}"
    if len(typed) < TRIGRAM:
        return None
    return hits(PARTNER_SEARCH.c.partner_id, PARTNER_SEARCH.c.text, "core_partner_search_index", [typed])


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
    _write_texts(session, changed)


def index_missing() -> None:
    """Let those be found whom somebody has written past the models: plain SQL, a process of the former release.

    Runs as a job, in steps that keep nobody waiting.
    """
    last = 0
    while True:
        with transaction() as session:
            rows = session.scalars(
                select(Partner)
                .where(Partner.id > last, ~exists().where(PARTNER_SEARCH.c.partner_id == Partner.id))
                .order_by(Partner.id)
                .limit(BATCH)
            ).all()
            if not rows:
                return
            _write_texts(session, rows)
            last = rows[-1].id


def _write_texts(session: Session, partners: Sequence[Partner]) -> None:
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    statement = (postgresql.insert if is_postgresql else sqlite.insert)(PARTNER_SEARCH)
    session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=[PARTNER_SEARCH.c.partner_id], set_={"text": statement.excluded.text}
        ),
        [{"partner_id": row.id, "text": _text_of(row)} for row in partners],
    )


def _text_of(row: Partner) -> str:
    fields = (row.name, row.email, row.city, row.number, row.vat)
    return fold("".join(f"\n{' '.join(field.split())}" for field in fields if field))
