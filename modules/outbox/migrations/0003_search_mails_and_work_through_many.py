"""Search mails and work through many"""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "7c1d2e90b3f5"
down_revision = "1a65af0174da"
branch_labels = None
depends_on = None

WAITING = sa.text("state NOT IN ('canceled', 'failed', 'partial', 'sent', 'uncertain')")
FAILED = sa.text("state IN ('failed', 'partial', 'uncertain')")
CANCELED = sa.text("state = 'canceled'")
HAS_FAILURE = sa.text("failure_kind IS NOT NULL")
OPEN_RUN = sa.text("ended_at IS NULL")

BATCH = 1000

# FTS5 keeps only its index; the text stays in outbox_search, and triggers keep the two together.
SQLITE_INDEX = (
    (
        "CREATE VIRTUAL TABLE outbox_search_index USING fts5("
        "text, content='outbox_search', content_rowid='mail_id', tokenize='trigram')"
    ),
    (
        "CREATE TRIGGER outbox_search_inserted AFTER INSERT ON outbox_search BEGIN"
        " INSERT INTO outbox_search_index (rowid, text) VALUES (new.mail_id, new.text); END"
    ),
    (
        "CREATE TRIGGER outbox_search_deleted AFTER DELETE ON outbox_search BEGIN"
        " INSERT INTO outbox_search_index (outbox_search_index, rowid, text)"
        " VALUES ('delete', old.mail_id, old.text); END"
    ),
    (
        "CREATE TRIGGER outbox_search_updated AFTER UPDATE ON outbox_search BEGIN"
        " INSERT INTO outbox_search_index (outbox_search_index, rowid, text)"
        " VALUES ('delete', old.mail_id, old.text);"
        " INSERT INTO outbox_search_index (rowid, text) VALUES (new.mail_id, new.text); END"
    ),
)
POSTGRESQL_INDEX = "CREATE INDEX ix_outbox_search_text ON outbox_search USING gin (text gin_trgm_ops)"
HOW_TO = (
    "pg_trgm could not be made ({reason}). Envoi works without it, but searches of the outbox read every mail."
    " Let a superuser of the database run:\n"
    "    CREATE EXTENSION pg_trgm;\n    " + POSTGRESQL_INDEX + ";"
)


def upgrade() -> None:
    op.create_table(
        "outbox_search",
        sa.Column("mail_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name=op.f("fk_outbox_search_mail_id_outbox_mail"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_outbox_search")),
    )
    op.create_table(
        "outbox_bulk_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("criteria", sa.Text(), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=False),
        sa.Column("upper_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("left_uncertain", sa.Integer(), nullable=False),
        sa.Column("left_other", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_outbox_bulk_run_by_user_id_core_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_bulk_run")),
    )
    op.create_index("ix_outbox_bulk_run_by_user_id", "outbox_bulk_run", ["by_user_id", "id"])
    _partial_index("ix_outbox_bulk_run_open", ["touched_at"], OPEN_RUN, "outbox_bulk_run")

    op.drop_index("ix_outbox_mail_company_id", "outbox_mail")
    op.drop_index("ix_outbox_mail_submitted_by_id", "outbox_mail")
    op.create_index("ix_outbox_mail_submitted_at", "outbox_mail", ["submitted_at", "id"])
    op.create_index(
        "ix_outbox_mail_submitted_by_id", "outbox_mail", ["submitted_by_id", "submitted_at", "id"]
    )
    op.create_index(
        "ix_outbox_mail_company_id", "outbox_mail", ["company_id", "submitted_at", "id", "document_kind"]
    )
    op.create_index("ix_outbox_mail_document_kind", "outbox_mail", ["document_kind", "submitted_at", "id"])
    op.create_index(
        "ix_outbox_mail_server_id",
        "outbox_mail",
        ["server_id", "submitted_at", "id", "company_id", "document_kind"],
    )
    _partial_index("ix_outbox_mail_failure_kind", ["failure_kind", "submitted_at", "id"], HAS_FAILURE)
    _partial_index(
        "ix_outbox_mail_failed_list",
        [
            "submitted_at",
            "id",
            "state",
            "failure_kind",
            "server_id",
            "company_id",
            "document_kind",
            "submitted_by_id",
        ],
        FAILED,
    )
    _partial_index(
        "ix_outbox_mail_waiting_list", ["submitted_at", "id", "failure_kind", "server_id"], WAITING
    )
    _partial_index("ix_outbox_mail_next_try", ["next_attempt_at", "id"], WAITING)
    _partial_index("ix_outbox_mail_canceled", ["submitted_at", "id"], CANCELED)

    _fill()
    if op.get_context().dialect.name == "postgresql":
        _index_on_postgresql()
    else:
        for statement in SQLITE_INDEX:
            op.execute(statement)
        op.execute("INSERT INTO outbox_search_index (outbox_search_index) VALUES ('rebuild')")


def _partial_index(
    name: str, columns: list[str], where: sa.TextClause, table_name: str = "outbox_mail"
) -> None:
    op.create_index(name, table_name, columns, sqlite_where=where, postgresql_where=where)


def _fold(words: str) -> str:
    if words.isascii():
        return words.lower()
    apart = unicodedata.normalize("NFKD", words)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()


def _fill() -> None:
    """Write what the mails that exist already can be found by."""
    connection = op.get_bind()
    mails = sa.text(
        "SELECT mail.id, mail.subject, document.number, mail.message_id FROM outbox_mail mail"
        " LEFT JOIN core_document document ON document.id = mail.document_id"
        " WHERE mail.id > :after ORDER BY mail.id LIMIT :count"
    )
    recipients = sa.text(
        "SELECT mail_id, addr_spec, display_name FROM outbox_recipient"
        " WHERE mail_id > :after AND mail_id <= :last ORDER BY mail_id, position"
    )
    insert = sa.text("INSERT INTO outbox_search (mail_id, text) VALUES (:mail_id, :text)")
    after = 0
    while rows := connection.execute(mails, {"after": after, "count": BATCH}).all():
        last = rows[-1][0]
        fields = {mail_id: list(words) for mail_id, *words in rows}
        for mail_id, *words in connection.execute(recipients, {"after": after, "last": last}):
            fields[mail_id] += words
        connection.execute(
            insert,
            [
                {
                    "mail_id": mail_id,
                    "text": _fold("\n".join(" ".join(field.split()) for field in found if field)),
                }
                for mail_id, found in fields.items()
            ],
        )
        after = last


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
            op.execute(f"DROP TRIGGER outbox_search_{name}")
        op.execute("DROP TABLE outbox_search_index")
    op.drop_table("outbox_search")
    op.drop_table("outbox_bulk_run")
    for name in (
        "canceled",
        "next_try",
        "waiting_list",
        "failed_list",
        "failure_kind",
        "server_id",
        "document_kind",
        "company_id",
        "submitted_by_id",
        "submitted_at",
    ):
        op.drop_index(f"ix_outbox_mail_{name}", "outbox_mail")
    op.create_index("ix_outbox_mail_company_id", "outbox_mail", ["company_id", "id"])
    op.create_index("ix_outbox_mail_submitted_by_id", "outbox_mail", ["submitted_by_id", "id"])
