"""Capture what a copy would send"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3c8a5be41f97"
down_revision = "9b60d4e7c315"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "outbox_mail", sa.Column("captured", sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("outbox_mail", "captured")
