"""Know who was invited and has not yet come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5d0b93c7e214"
down_revision = "8a4c61e07d52"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("core_user", sa.Column("invited_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("core_user") as table:
        table.drop_column("invited_at")
