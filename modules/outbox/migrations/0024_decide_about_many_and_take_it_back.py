"""Decide about many, and take it back"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "7d3e1b9f60ac"
down_revision = "b7d20c4e91a6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_mail", sa.Column("dismissed_at", UtcDateTime(), nullable=True))
    op.add_column(
        "outbox_recipient", sa.Column("by_word", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column(
        "outbox_bulk_run", sa.Column("left_why", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("outbox_bulk_run", sa.Column("begins_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("outbox_bulk_run", "begins_at")
    op.drop_column("outbox_bulk_run", "left_why")
    op.drop_column("outbox_recipient", "by_word")
    op.drop_column("outbox_mail", "dismissed_at")
