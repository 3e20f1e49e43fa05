"""Know what a mail is for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f2a96c04d8b1"
down_revision = "e83b5f10c6a7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "outbox_mail", sa.Column("purpose", sa.String(length=32), nullable=False, server_default="single")
    )
    op.execute("UPDATE outbox_mail SET purpose = 'alert' WHERE is_alert")
    op.execute("UPDATE outbox_mail SET purpose = 'receipt' WHERE document_kind = 'pos.ticket'")


def downgrade() -> None:
    op.drop_column("outbox_mail", "purpose")
