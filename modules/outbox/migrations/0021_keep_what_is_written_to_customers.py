"""Keep what is written to customers while it is written"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e51d7c02b9f4"
down_revision = "4f1c8a27be60"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outbox_draft") as batch_op:
        batch_op.alter_column("document_id", existing_type=sa.Integer(), nullable=True)
        batch_op.add_column(sa.Column("partner_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_outbox_draft_partner_id_core_partner"),
            "core_partner",
            ["partner_id"],
            ["id"],
            ondelete="CASCADE",
        )
    op.create_index(op.f("ix_outbox_draft_partner_id"), "outbox_draft", ["partner_id"])
    op.add_column("outbox_run", sa.Column("title", sa.String(length=120), nullable=False, server_default=""))
    op.add_column("outbox_run", sa.Column("text_draft", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("outbox_run", "text_draft")
    op.drop_column("outbox_run", "title")
    op.execute("DELETE FROM outbox_draft WHERE document_id IS NULL")
    op.drop_index(op.f("ix_outbox_draft_partner_id"), table_name="outbox_draft")
    with op.batch_alter_table("outbox_draft") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_outbox_draft_partner_id_core_partner"), type_="foreignkey")
        batch_op.drop_column("partner_id")
        batch_op.alter_column("document_id", existing_type=sa.Integer(), nullable=False)
