"""Find what came back"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c4d81e95a6f2"
down_revision = "b81f6c27d905"
branch_labels = None
depends_on = None

_BOUNCED = sa.text("state = 'bounced'")


def upgrade() -> None:
    op.create_index(
        "ix_outbox_recipient_bounced",
        "outbox_recipient",
        ["mail_id"],
        sqlite_where=_BOUNCED,
        postgresql_where=_BOUNCED,
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_recipient_bounced", "outbox_recipient")
