"""Print lines in other languages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d2f4a86b1e90"
down_revision = "7c41e0d8a2f5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sales_line", sa.Column("translations", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("sales_line", "translations")
