"""Keep links that only the recipient may read, and tell of mails that are held back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e83b5f10c6a7"
down_revision = "c41f8a2d7e05"
branch_labels = None
depends_on = None

_HAS_LINK = sa.text("encrypted_link IS NOT NULL")


def upgrade() -> None:
    op.add_column("outbox_mail", sa.Column("encrypted_link", sa.LargeBinary(), nullable=True))
    op.add_column("outbox_mail", sa.Column("link_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_outbox_mail_link",
        "outbox_mail",
        ["link_expires_at"],
        sqlite_where=_HAS_LINK,
        postgresql_where=_HAS_LINK,
    )
    op.add_column(
        "outbox_alert_preference",
        sa.Column("held_back", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "outbox_alert_preference", sa.Column("held_told_at", sa.DateTime(timezone=True), nullable=True)
    )
    with op.batch_alter_table("outbox_alert_preference") as table:
        table.alter_column("held_back", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("outbox_alert_preference") as table:
        table.drop_column("held_told_at")
        table.drop_column("held_back")
    op.drop_index("ix_outbox_mail_link", "outbox_mail")
    op.drop_column("outbox_mail", "link_expires_at")
    op.drop_column("outbox_mail", "encrypted_link")
