"""An installation with very many rows: those of the demonstration, again and again.

Each copy of a row keeps what the row says and refers to the copies that belong to it, so that what holds of the
demonstration (states, totals, who follows what) holds of all. Mails are written by `bench.outbox_list`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import Connection, Table, func, select, text

from bench.outbox_list import World, fill
from core import migrate
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, db, guards
from core.demonstration import load_demo
from core.documents.models import Document
from modules.mail_config.models import MailServer

YEARS = 3
"""From the oldest copy to the newest."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are copied together.

    Attributes:
        share: How many rows of the first table there are for each mail.
        tables: What is copied, with the condition that a row of it is among them.
    """

    share: float
    tables: Mapping[str, str]


_TICKETS = "SELECT document_id FROM pos_ticket"
PARTS = {
    "people": Part(
        0.25,
        {"core_partner": "merged_into_id IS NULL", "core_partner_labeled": "", "core_partner_search": ""},
    ),
    "products": Part(0.02, {"core_product": ""}),
    "tickets": Part(
        0.3,
        {
            "core_document": "kind = 'pos.ticket'",
            "pos_session": "",
            "pos_ticket": "",
            "pos_line": "",
            "pos_payment": "",
        },
    ),
    "documents": Part(
        0.2,
        {
            "core_document": "kind <> 'pos.ticket'",
            "sales_order": "",
            "sales_invoice": "",
            "sales_line": "",
            "core_follower": f"document_id NOT IN ({_TICKETS})",
        },
    ),
}

# Names are spread over the alphabet, as those of real people are.
_PREFIX = (
    "substr('BCDFGHJKLMNPRSTV', 1 + k % 16, 1) || substr('aeiou', 1 + k / 16 % 5, 1) "
    "|| substr('lmnrstv', 1 + k / 80 % 7, 1) || 'o ' || k || ' '"
)
# What a copy says otherwise, in SQL; `k` is the number of the copy, `copies` of how many.
_OTHERWISE = {
    "core_partner.name": f"{_PREFIX} || name",
    "core_partner_search.text": f"lower({_PREFIX}) || text",
    "core_partner.number": "CASE number WHEN '' THEN '' ELSE number || '-' || k END",
    "core_partner.email": "CASE email WHEN '' THEN '' ELSE 'k' || k || '.' || email END",
    "core_partner.email_key": "CASE email_key WHEN '' THEN '' ELSE 'k' || k || '.' || email_key END",
    "core_partner.vat": "CASE vat WHEN '' THEN '' ELSE vat || k END",
    "core_partner.vat_key": "CASE vat_key WHEN '' THEN '' ELSE vat_key || k END",
    "core_partner.match_key": "match_key || k",
    "core_product.name": "name || ' ' || k",
    "core_product.code": "CASE code WHEN '' THEN '' ELSE code || '-' || k END",
    "core_product.barcode": "''",
    "core_document.number": "CASE number WHEN '' THEN '' ELSE number || '-' || k END",
    "core_document.total": "total + k % 9973 * 1000",
    "pos_ticket.client_id": "substr(client_id, 1, 24) || '-' || k",
    "pos_ticket.sequence": "sequence + k * 1000",
    "pos_session.state": "'closed'",
    "pos_session.closed_at": "opened_at",
    "pos_session.expected_cash": "opening_cash",
    "pos_session.counted_cash": "opening_cash",
}


def demonstrate(app: Flask) -> None:
    """Fill an empty database with the demonstration."""
    migrate.upgrade(app)
    load_demo(app)
    db.session.remove()


def multiply(mails: int) -> None:
    """Copy the rows of the demonstration for an installation of so many mails, and write the mails."""
    with db.engine.connect() as connection:
        copies = {name: _copies(connection, part, mails) for name, part in PARTS.items()}
    copy_rows(copies)
    fill(world_of(), 1, mails + 1, mails + 1)
    _settle()


def copy_rows(copies: Mapping[str, int], *, together: bool = False) -> None:
    """Copy rows.

    Args:
        copies: How many there are of each row of a part then.
        together: True where the copies of documents are those of the same customers and products.
    """
    with db.engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.commit()
        guards.remove(connection)
        if not sqlite:
            connection.exec_driver_sql("SET session_replication_role = replica")
        shared = dict.fromkeys(copies, 1) if together else copies
        for name, part in PARTS.items():
            for table in part.tables:
                for statement in _copying(
                    connection, Base.metadata.tables[table], name, copies[name], shared
                ):
                    connection.execute(text(statement))
        guards.install(connection)
        connection.commit()
        connection.invalidate()


def _copies(connection: Connection, part: Part, mails: int) -> int:
    table, condition = next(iter(part.tables.items()))
    there = connection.scalar(text(f"SELECT count(*) FROM {table} WHERE {condition or 'TRUE'}")) or 1  # noqa: S608 (constants)
    return max(1, math.ceil(mails * part.share / there))


def _copying(
    connection: Connection, table: Table, part: str, copies: int, numbers: Mapping[str, int]
) -> Iterator[str]:
    """Yield what copies the rows of a table that belong to a part; `numbers` are the copies of what it refers to."""
    sqlite = connection.dialect.name == "sqlite"
    condition = PARTS[part].tables[table.name]
    # Of a document the copies of two parts must not meet, and whoever refers to one means that of its own part.
    columns, values = [], []
    for column in table.columns:
        key = f"{table.name}.{column.name}"
        referred = next((foreign.column.table.name for foreign in column.foreign_keys), "")
        value = _OTHERWISE.get(key, f'source."{column.name}"')
        if referred:
            value = f"{value} + {_step(referred, part, numbers)}"
        elif column.primary_key:
            value = f"{value} + {_step(table.name, part, numbers)}"
        elif key == "core_document.date":
            days = f"(({copies} - k) * {365 * YEARS} / {copies})"
            value = f"date(date, '-' || {days} || ' days')" if sqlite else f"date - {days}"
        columns.append(f'"{column.name}"')
        values.append(value)
    last = copies - 1
    series = f"WITH copy AS MATERIALIZED (SELECT * FROM generate_series(1, {last}) AS g(k))"  # noqa: S608 (constants)
    if sqlite:
        series = f"WITH RECURSIVE copy(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM copy WHERE k < {last})"  # noqa: S608 (constants)
    if copies > 1:
        yield (
            f"INSERT INTO {table.name} ({', '.join(columns)}) "  # noqa: S608 (constants)
            f"{series}, source AS {'' if sqlite else 'MATERIALIZED '}"
            f"(SELECT * FROM {table.name} WHERE id_here < {LIMIT} AND ({condition or 'TRUE'})) "
            f"SELECT {', '.join(values)} FROM copy CROSS JOIN source"
        ).replace("id_here", next(iter(table.primary_key.columns)).name)


LIMIT = 1000
"""The ids of the demonstration are smaller."""


def _step(referred: str, part: str, numbers: Mapping[str, int]) -> str:
    """Return how much further the id of a copy is, in SQL; 0 for what is not copied."""
    if referred in PARTS[part].tables:
        # Two parts copy documents: they take turns.
        turn = list(PARTS).index(part)
        return f"(k * {len(PARTS)} + {turn}) * {LIMIT}"
    owner = next((name for name, other in PARTS.items() if referred in other.tables), "")
    if not owner:
        return "0"
    turn = list(PARTS).index(owner)
    own = f"k % {numbers[owner]}"
    return f"(CASE {own} WHEN 0 THEN 0 ELSE ({own} * {len(PARTS)} + {turn}) * {LIMIT} END)"


def world_of() -> World:
    """Return what mails can be about in an installation."""
    with db.session() as session:
        return World(
            companies=(list(session.scalars(select(Company.id).order_by(Company.id))) * 5)[:5],
            servers=list(session.scalars(select(MailServer.id))),
            sellers=list(session.scalars(select(User.id))),
            documents=list(session.scalars(select(Document.id).where(Document.kind != "pos.ticket"))),
        )


def _settle() -> None:
    """Let the database know what it has: the next ids, and how many rows there are."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "sqlite":
            return  # nobody tells it how many rows there are in an installation either
        for table in Base.metadata.sorted_tables:
            if "id" in table.columns and table.columns["id"].primary_key:
                last = connection.scalar(select(func.max(table.columns["id"])))
                name = connection.scalar(
                    text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table.name}
                )
                if last and name:
                    connection.execute(text("SELECT setval(:name, :last)"), {"name": name, "last": last})
        connection.execute(text("VACUUM ANALYZE"))
