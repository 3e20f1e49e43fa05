"""Tell of mailboxes that are no longer read, and release addresses"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "b81f6c27d905"
down_revision = "5e0c7b29d814"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_alert", sa.Column("mailbox_id", sa.Integer(), nullable=True))
    op.add_column("outbox_recipient", sa.Column("released_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM outbox_alert WHERE mailbox_id IS NOT NULL"))
    op.drop_column("outbox_alert", "mailbox_id")
    op.drop_column("outbox_recipient", "released_at")
