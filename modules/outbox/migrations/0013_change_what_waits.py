"""Let people change a mail that waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8d40b6f1c2e7"
down_revision = "5a1d7c30e94b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_mail", sa.Column("edit_token", sa.String(32), nullable=True))
    op.add_column("outbox_mail", sa.Column("edited_by_id", sa.Integer(), nullable=True))
    op.add_column("outbox_mail", sa.Column("edit_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox_mail", sa.Column("replaced_by_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    for column in ("replaced_by_id", "edit_until", "edited_by_id", "edit_token"):
        op.drop_column("outbox_mail", column)
