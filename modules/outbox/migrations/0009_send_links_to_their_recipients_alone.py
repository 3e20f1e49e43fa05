"""Keep links that only the recipient may read."""

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


def downgrade() -> None:
    op.drop_index("ix_outbox_mail_link", "outbox_mail")
    op.drop_column("outbox_mail", "link_expires_at")
    op.drop_column("outbox_mail", "encrypted_link")
