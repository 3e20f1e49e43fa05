"""Let recipients of what advertises opt out"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c2e85f07a1d4"
down_revision = "c2e84f6b1d37"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "outbox_mail", sa.Column("promotional", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("outbox_mail", "promotional")
