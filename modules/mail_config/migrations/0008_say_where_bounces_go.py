"""Say where bounces go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3f9c61d8b2e4"
down_revision = "e83b5d0c61f7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "mail_config_server", sa.Column("bounce_address", sa.String(254), nullable=False, server_default="")
    )
    op.add_column(
        "mail_config_server",
        sa.Column("bounce_tokens", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    with op.batch_alter_table("mail_config_server") as table:
        table.alter_column("bounce_address", server_default=None)
        table.alter_column("bounce_tokens", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("mail_config_server") as table:
        table.drop_column("bounce_tokens")
        table.drop_column("bounce_address")
