"""Find people by trigrams"""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "e1a7c94d60b3"
down_revision = "5f0c8a91d3e7"
branch_labels = None
depends_on = None

BATCH = 1000

# FTS5 keeps only its index; the text stays in core_partner_search, and triggers keep the two together.
SQLITE_INDEX = (
    (
        "CREATE VIRTUAL TABLE core_partner_search_index USING fts5("
        "text, content='core_partner_search', content_rowid='partner_id', tokenize='trigram')"
    ),
    (
        "CREATE TRIGGER core_partner_search_inserted AFTER INSERT ON core_partner_search BEGIN"
        " INSERT INTO core_partner_search_index (rowid, text) VALUES (new.partner_id, new.text); END"
    ),
    (
        "CREATE TRIGGER core_partner_search_deleted AFTER DELETE ON core_partner_search BEGIN"
        " INSERT INTO core_partner_search_index (core_partner_search_index, rowid, text)"
        " VALUES ('delete', old.partner_id, old.text); END"
    ),
    (
        "CREATE TRIGGER core_partner_search_updated AFTER UPDATE ON core_partner_search BEGIN"
        " INSERT INTO core_partner_search_index (core_partner_search_index, rowid, text)"
        " VALUES ('delete', old.partner_id, old.text);"
        " INSERT INTO core_partner_search_index (rowid, text) VALUES (new.partner_id, new.text); END"
    ),
)
POSTGRESQL_INDEX = (
    "CREATE INDEX ix_core_partner_search_text ON core_partner_search USING gin (text gin_trgm_ops)"
)
HOW_TO = (
    "pg_trgm could not be made ({reason}). Envoi works without it, but a search for people reads all of them."
    " Let a superuser of the database run:\n"
    "    CREATE EXTENSION pg_trgm;\n    " + POSTGRESQL_INDEX + ";"
)


# Nearly all have none: an index over those would tempt SQLite to read all of them by it, and to sort them.
REFERENCES = ("parent_id", "merged_into_id", "company_id", "owner_id")


def upgrade() -> None:
    for name in REFERENCES:
        op.drop_index(op.f(f"ix_core_partner_{name}"), "core_partner")
        has_one = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            op.f(f"ix_core_partner_{name}"),
            "core_partner",
            [name],
            sqlite_where=has_one,
            postgresql_where=has_one,
        )
    op.create_table(
        "core_partner_search",
        sa.Column("partner_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_core_partner_search_partner_id_core_partner"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("partner_id", name=op.f("pk_core_partner_search")),
    )
    if op.get_context().dialect.name != "postgresql":
        for statement in SQLITE_INDEX:
            op.execute(statement)
    _fill()
    if op.get_context().dialect.name == "postgresql":
        _index_on_postgresql()


def _fold(words: str) -> str:
    if words.isascii():
        return words.lower()
    apart = unicodedata.normalize("NFKD", words)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()


def _fill() -> None:
    """Write what those that exist already can be found by."""
    connection = op.get_bind()
    partners = sa.text(
        "SELECT id, name, email, city, number, vat FROM core_partner WHERE id > :after ORDER BY id LIMIT :count"
    )
    insert = sa.text("INSERT INTO core_partner_search (partner_id, text) VALUES (:partner_id, :text)")
    after = 0
    while rows := connection.execute(partners, {"after": after, "count": BATCH}).all():
        connection.execute(
            insert,
            [
                {
                    "partner_id": partner_id,
                    "text": _fold("".join(f"\n{' '.join(field.split())}" for field in fields if field)),
                }
                for partner_id, *fields in rows
            ],
        )
        after = rows[-1][0]


def _index_on_postgresql() -> None:
    """Make the trigram index where the database lets us; its administrator is told otherwise."""
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            connection.execute(sa.text(POSTGRESQL_INDEX))
    except sa.exc.DBAPIError as error:
        print(HOW_TO.format(reason=str(error.orig).splitlines()[0]))  # noqa: T201 (read at the command line)


def downgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        for name in ("inserted", "deleted", "updated"):
            op.execute(f"DROP TRIGGER core_partner_search_{name}")
        op.execute("DROP TABLE core_partner_search_index")
    op.drop_table("core_partner_search")
    for name in REFERENCES:
        op.drop_index(op.f(f"ix_core_partner_{name}"), "core_partner")
        op.create_index(op.f(f"ix_core_partner_{name}"), "core_partner", [name])
