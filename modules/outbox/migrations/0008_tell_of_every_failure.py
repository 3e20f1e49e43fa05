"""Let people choose to be told of every mail that fails for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c41f8a2d7e05"
down_revision = "b7d41c0e96f2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "outbox_alert_preference",
        sa.Column("every_failure", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    with op.batch_alter_table("outbox_alert_preference") as table:
        table.alter_column("every_failure", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("outbox_alert_preference") as table:
        table.drop_column("every_failure")
