"""Keep copies in the Sent folder."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "e8c3f5a04d71"
down_revision = "5e9d0c47ab18"
branch_labels = None
depends_on = None

_WANTED = sa.text("next_try_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "outbox_sent_copy",
        sa.Column("mail_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=False),
        sa.Column("wanted_at", UtcDateTime(), nullable=False),
        sa.Column("next_try_at", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=True),
        sa.Column("folder", sa.String(250), nullable=False),
        sa.Column("failure_kind", sa.String(32), nullable=True),
        sa.Column("failure_words", sa.Text(), nullable=False),
        sa.Column("failure_advice", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name=op.f("fk_outbox_sent_copy_mail_id_outbox_mail"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_outbox_sent_copy")),
    )
    op.create_index(
        "ix_outbox_sent_copy_wanted",
        "outbox_sent_copy",
        ["server_id", "next_try_at"],
        sqlite_where=_WANTED,
        postgresql_where=_WANTED,
    )
    # The default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "outbox_alert", sa.Column("sent_folder", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM outbox_alert WHERE sent_folder"))
    op.drop_column("outbox_alert", "sent_folder")
    op.drop_index("ix_outbox_sent_copy_wanted", table_name="outbox_sent_copy")
    op.drop_table("outbox_sent_copy")
