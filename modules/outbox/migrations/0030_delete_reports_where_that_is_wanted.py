"""Delete reports where that is wanted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5b20d9e7c413"
down_revision = "c4d81e95a6f2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "outbox_mailbox",
        sa.Column("delete_reports", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("outbox_mailbox", "delete_reports")
