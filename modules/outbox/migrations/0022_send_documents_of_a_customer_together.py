"""Send documents of a customer together"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5c81e07ad96f"
down_revision = "e51d7c02b9f4"
branch_labels = None
depends_on = None

_ALONE = sa.text("bundle = ''")
_BUNDLED = sa.text("bundle <> ''")


def upgrade() -> None:
    op.create_table(
        "outbox_further_document",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mail_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=True),
        sa.Column("document_kind", sa.String(60), nullable=False),
        sa.Column("document_revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name="fk_outbox_further_document_mail_id_outbox_mail",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name="fk_outbox_further_document_document_id_core_document",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_further_document"),
        sa.UniqueConstraint("mail_id", "position", name="uq_outbox_further_document_mail_id_position"),
    )
    op.create_index(
        "ix_outbox_further_document_document_id", "outbox_further_document", ["document_id", "mail_id"]
    )
    # Defaults stay: SQLite would copy the whole table to take them away.
    op.add_column("outbox_mail", sa.Column("further_count", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("outbox_mail", sa.Column("zip_name", sa.String(200), nullable=False, server_default=""))
    op.add_column("outbox_run", sa.Column("packing", sa.String(32), nullable=False, server_default="each"))
    with op.batch_alter_table("outbox_run_item") as batch_op:
        batch_op.add_column(sa.Column("bundle", sa.String(64), nullable=False, server_default=""))
        batch_op.drop_constraint("uq_outbox_run_item_mail_id", type_="unique")
    op.create_index("ix_outbox_run_item_mail_id", "outbox_run_item", ["mail_id"])
    op.create_index(
        "uq_outbox_run_item_mail_id",
        "outbox_run_item",
        ["mail_id"],
        unique=True,
        sqlite_where=_ALONE,
        postgresql_where=_ALONE,
    )
    op.create_index(
        "ix_outbox_run_item_bundle",
        "outbox_run_item",
        ["run_id", "bundle", "id"],
        sqlite_where=_BUNDLED,
        postgresql_where=_BUNDLED,
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_run_item_bundle", table_name="outbox_run_item")
    op.drop_index("uq_outbox_run_item_mail_id", table_name="outbox_run_item")
    op.drop_index("ix_outbox_run_item_mail_id", table_name="outbox_run_item")
    # Of several documents in one mail the first keeps it: the former version knows one for each.
    op.execute(
        "UPDATE outbox_run_item SET mail_id = NULL WHERE EXISTS (SELECT 1 FROM outbox_run_item AS earlier "
        "WHERE earlier.mail_id = outbox_run_item.mail_id AND earlier.id < outbox_run_item.id)"
    )
    with op.batch_alter_table("outbox_run_item") as batch_op:
        batch_op.drop_column("bundle")
        batch_op.create_unique_constraint("uq_outbox_run_item_mail_id", ["mail_id"])
    op.drop_column("outbox_run", "packing")
    op.drop_column("outbox_mail", "zip_name")
    op.drop_column("outbox_mail", "further_count")
    op.drop_table("outbox_further_document")
