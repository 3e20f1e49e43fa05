"""Print payment terms in other languages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a94d20c7e615"
down_revision = "3b9e51c7d204"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("sales_order", "sales_invoice"):
        op.add_column(
            table, sa.Column("translations", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
        )


def downgrade() -> None:
    for table in ("sales_invoice", "sales_order"):
        op.drop_column(table, "translations")
