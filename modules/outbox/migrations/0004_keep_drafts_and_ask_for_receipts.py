"""Keep drafts and ask for receipts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b141293ab9a4"
down_revision = "7c1d2e90b3f5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_draft",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("contents", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name=op.f("fk_outbox_draft_document_id_core_document"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core_user.id"], name=op.f("fk_outbox_draft_user_id_core_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_draft")),
        sa.UniqueConstraint("document_id", "user_id", name=op.f("uq_outbox_draft_document_id_user_id")),
    )
    with op.batch_alter_table("outbox_draft", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_draft_touched_at", ["touched_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_outbox_draft_user_id"), ["user_id"], unique=False)

    op.create_table(
        "outbox_hand_over",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("recipient_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_outbox_hand_over_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name=op.f("fk_outbox_hand_over_document_id_core_document"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_hand_over")),
    )
    with op.batch_alter_table("outbox_hand_over", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_hand_over_document_id"), ["document_id"], unique=False)

    op.create_table(
        "outbox_draft_file",
        sa.Column("draft_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["draft_id"],
            ["outbox_draft.id"],
            name=op.f("fk_outbox_draft_file_draft_id_outbox_draft"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("draft_id", "sha256", name=op.f("pk_outbox_draft_file")),
    )
    with op.batch_alter_table("outbox_draft_file", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_draft_file_sha256", ["sha256"], unique=False)

    with op.batch_alter_table("outbox_attachment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("content_id", sa.String(length=120), nullable=False, server_default=""))

    with op.batch_alter_table("outbox_mail", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("priority", sa.String(length=32), nullable=False, server_default="normal")
        )
        batch_op.add_column(
            sa.Column("delivery_receipt", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(
            sa.Column("read_receipt", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    with op.batch_alter_table("outbox_mail", schema=None) as batch_op:
        batch_op.drop_column("read_receipt")
        batch_op.drop_column("delivery_receipt")
        batch_op.drop_column("priority")

    with op.batch_alter_table("outbox_attachment", schema=None) as batch_op:
        batch_op.drop_column("content_id")

    with op.batch_alter_table("outbox_draft_file", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_draft_file_sha256")

    op.drop_table("outbox_draft_file")
    with op.batch_alter_table("outbox_hand_over", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_hand_over_document_id"))

    op.drop_table("outbox_hand_over")
    with op.batch_alter_table("outbox_draft", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_draft_user_id"))
        batch_op.drop_index("ix_outbox_draft_touched_at")

    op.drop_table("outbox_draft")
