"""Archive what was sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b93f06d4e172"
down_revision = "c06ec5ce8cd0"
branch_labels = None
depends_on = None
# See docs/adr/0019.
contract = "Programs from before stop whenever their tables change."


def upgrade() -> None:
    # The default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "distribution_rule",
        sa.Column("archive_sent", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("distribution_rule", sa.Column("archive_sent_after", sa.Integer(), nullable=True))
    op.add_column("distribution_rule", sa.Column("archive_keep_days", sa.Integer(), nullable=True))
    with op.batch_alter_table("distribution_dispatch") as batch_op:
        batch_op.add_column(sa.Column("attachment_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_distribution_dispatch_attachment_id_outbox_attachment"),
            "outbox_attachment",
            ["attachment_id"],
            ["id"],
            ondelete="SET NULL",
        )
        batch_op.create_unique_constraint(
            batch_op.f("uq_distribution_dispatch_attachment_id"), ["attachment_id"]
        )


def downgrade() -> None:
    with op.batch_alter_table("distribution_dispatch") as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_distribution_dispatch_attachment_id"), type_="unique")
        batch_op.drop_constraint(
            batch_op.f("fk_distribution_dispatch_attachment_id_outbox_attachment"), type_="foreignkey"
        )
        batch_op.drop_column("attachment_id")
    op.drop_column("distribution_rule", "archive_keep_days")
    op.drop_column("distribution_rule", "archive_sent_after")
    op.drop_column("distribution_rule", "archive_sent")
