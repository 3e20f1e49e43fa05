"""Count, in an action on many mails, those that no longer say what their documents say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7d41c0e96f2"
down_revision = "5c1f0b7e93ad"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "outbox_bulk_run", sa.Column("left_outdated", sa.Integer(), nullable=False, server_default="0")
    )
    with op.batch_alter_table("outbox_bulk_run") as table:
        table.alter_column("left_outdated", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("outbox_bulk_run") as table:
        table.drop_column("left_outdated")
