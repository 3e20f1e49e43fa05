"""Know how mails are handed over to a server, and how many an hour and by one connection."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7d41e6a90c5"
down_revision = "3f9c61d8b2e4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "mail_config_server",
        sa.Column("transport", sa.String(60), nullable=False, server_default="mail_config.smtp"),
    )
    op.add_column("mail_config_server", sa.Column("rate_per_hour", sa.Integer(), nullable=True))
    op.add_column("mail_config_server", sa.Column("mails_per_connection", sa.Integer(), nullable=True))
    op.add_column(
        "mail_config_server_health",
        sa.Column("hour_started_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "mail_config_server_health",
        sa.Column("hour_count", sa.Integer(), nullable=False, server_default="0"),
    )
    with op.batch_alter_table("mail_config_server") as table:
        table.alter_column("transport", server_default=None)
    with op.batch_alter_table("mail_config_server_health") as table:
        table.alter_column("hour_count", server_default=None)


def downgrade() -> None:
    # A server of another kind has no place in the tables before: what it would say by SMTP is not for its host.
    op.execute(
        sa.text(
            "UPDATE mail_config_server SET active = :off WHERE transport <> 'mail_config.smtp'"
        ).bindparams(off=False)
    )
    with op.batch_alter_table("mail_config_server") as table:
        table.drop_column("mails_per_connection")
        table.drop_column("rate_per_hour")
        table.drop_column("transport")
    with op.batch_alter_table("mail_config_server_health") as table:
        table.drop_column("hour_count")
        table.drop_column("hour_started_at")
