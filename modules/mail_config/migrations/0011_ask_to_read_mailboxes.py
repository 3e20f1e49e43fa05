"""Ask to read mailboxes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f31c8a5d7e02"
down_revision = "b7d2e94c10a5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "mail_config_consent", sa.Column("reads", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("mail_config_consent", "reads")
