"""Let people change a mail that waits, and note what they have handed over otherwise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8d40b6f1c2e7"
down_revision = "5a1d7c30e94b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_mail", sa.Column("edit_token", sa.String(32), nullable=True))
    op.add_column("outbox_mail", sa.Column("edited_by_id", sa.Integer(), nullable=True))
    op.add_column("outbox_mail", sa.Column("edit_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox_mail", sa.Column("replaced_by_id", sa.Integer(), nullable=True))
    op.create_table(
        "outbox_hand_over",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("way", sa.String(32), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("taken_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("taken_back_by_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name="fk_outbox_hand_over_document_id_core_document",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name="fk_outbox_hand_over_by_user_id_core_user",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["taken_back_by_id"],
            ["core_user.id"],
            name="fk_outbox_hand_over_taken_back_by_id_core_user",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_hand_over"),
    )
    op.create_index("ix_outbox_hand_over_document_id", "outbox_hand_over", ["document_id", "id"])
    op.add_column(
        "outbox_run_item",
        sa.Column("despite_opt_out", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    # Who has said yes to a document of a run that is not over said it to both questions.
    op.execute("UPDATE outbox_run_item SET despite_opt_out = anyway WHERE anyway")
    for column, length in (("seen_template", 32), ("seen_recipients", 64)):
        op.add_column(
            "outbox_run_item", sa.Column(column, sa.String(length), nullable=False, server_default="")
        )


def downgrade() -> None:
    for column in ("seen_recipients", "seen_template", "despite_opt_out"):
        op.drop_column("outbox_run_item", column)
    op.drop_table("outbox_hand_over")
    for column in ("replaced_by_id", "edit_until", "edited_by_id", "edit_token"):
        op.drop_column("outbox_mail", column)
