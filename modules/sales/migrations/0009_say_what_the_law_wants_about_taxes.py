"""Say what the law wants about taxes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "91e5c4a7d03b"
down_revision = "c41b7e90d25a"
branch_labels = None
depends_on = None
# See docs/adr/0019.
contract = "Programs from before stop whenever their tables change."


def upgrade() -> None:
    for table in ("sales_order", "sales_invoice"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("tax_rule_id", sa.Integer(), nullable=True))
            batch.add_column(
                sa.Column("tax_mention", sa.String(length=300), server_default="", nullable=False)
            )
            batch.create_foreign_key(
                op.f(f"fk_{table}_tax_rule_id_core_tax_rule"),
                "core_tax_rule",
                ["tax_rule_id"],
                ["id"],
                ondelete="SET NULL",
            )


def downgrade() -> None:
    for table in ("sales_invoice", "sales_order"):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"fk_{table}_tax_rule_id_core_tax_rule"), type_="foreignkey")
            batch.drop_column("tax_mention")
            batch.drop_column("tax_rule_id")
