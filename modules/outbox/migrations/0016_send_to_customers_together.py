"""Send to customers together"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9b60d4e7c315"
down_revision = "c2e85f07a1d4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Defaults stay: SQLite would copy the whole table to take them away.
    op.add_column(
        "outbox_run", sa.Column("of_customers", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "outbox_run", sa.Column("promotional", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    with op.batch_alter_table("outbox_run_item") as batch_op:
        batch_op.add_column(sa.Column("partner_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            "fk_outbox_run_item_partner_id_core_partner",
            "core_partner",
            ["partner_id"],
            ["id"],
            ondelete="SET NULL",
        )
    op.create_index("ix_outbox_run_item_partner_id", "outbox_run_item", ["partner_id", "run_id", "id"])


def downgrade() -> None:
    op.execute("DELETE FROM outbox_run_item WHERE run_id IN (SELECT id FROM outbox_run WHERE of_customers)")
    op.execute("DELETE FROM outbox_run WHERE of_customers")
    op.drop_index("ix_outbox_run_item_partner_id", table_name="outbox_run_item")
    with op.batch_alter_table("outbox_run_item") as batch_op:
        batch_op.drop_constraint("fk_outbox_run_item_partner_id_core_partner", type_="foreignkey")
        batch_op.drop_column("partner_id")
    op.drop_column("outbox_run", "promotional")
    op.drop_column("outbox_run", "of_customers")
