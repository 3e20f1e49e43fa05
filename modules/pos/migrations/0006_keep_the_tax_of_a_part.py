"""Keep the tax of a part as it was decided"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4e81b7d6a052"
down_revision = "9a2c64e8f15b"
branch_labels = None
depends_on = None
# See docs/adr/0019.
contract = "Programs from before stop whenever their tables change."


def upgrade() -> None:
    op.add_column(
        "pos_ticket",
        sa.Column("part_taxes", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("pos_ticket", "part_taxes")
