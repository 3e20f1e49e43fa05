"""Keep the tax of a part as it was decided"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "6d0f3a91c7b2"
down_revision = "a94d20c7e615"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sales_invoice",
        sa.Column("part_taxes", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("sales_invoice", "part_taxes")
