"""Offer several connections"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5b7e0d94c3a1"
down_revision = "5c1f80d2ab36"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mail_config_server", sa.Column("connections", sa.Integer(), nullable=True))
    op.add_column("mail_config_server_health", sa.Column("connections", sa.Integer(), nullable=True))
    op.add_column(
        "mail_config_server_health", sa.Column("connections_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "mail_config_server_health",
        sa.Column("connection_words", sa.Text(), nullable=False, server_default=""),
    )


def downgrade() -> None:
    op.drop_column("mail_config_server_health", "connection_words")
    op.drop_column("mail_config_server_health", "connections_at")
    op.drop_column("mail_config_server_health", "connections")
    op.drop_column("mail_config_server", "connections")
