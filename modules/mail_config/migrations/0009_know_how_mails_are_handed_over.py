"""Know how mails are handed over to a server: by SMTP so far."""

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
    with op.batch_alter_table("mail_config_server") as table:
        table.alter_column("transport", server_default=None)


def downgrade() -> None:
    # A server of another kind has no place in the tables before: what it would say by SMTP is not for its host.
    op.execute(
        sa.text(
            "UPDATE mail_config_server SET active = :off WHERE transport <> 'mail_config.smtp'"
        ).bindparams(off=False)
    )
    with op.batch_alter_table("mail_config_server") as table:
        table.drop_column("transport")
