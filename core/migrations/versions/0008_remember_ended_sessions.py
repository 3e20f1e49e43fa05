"""Remember ended sessions"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8a4c61e07d52"
down_revision = "d41f7b60a9c3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_ended_session",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_core_ended_session")),
    )
    op.create_index("ix_core_ended_session_at", "core_ended_session", ["at"])


def downgrade() -> None:
    op.drop_table("core_ended_session")
