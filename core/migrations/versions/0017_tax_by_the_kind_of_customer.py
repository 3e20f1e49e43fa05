"""Tax by the kind of customer, and say late payment apart"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7d20b6e94f15"
down_revision = "c41a9e07d2b8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "core_company", sa.Column("late_payment_line", sa.Text(), server_default="", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("core_company", "late_payment_line")
