"""Know who has saved a row"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c48e0d7a61f2"
down_revision = "3b7e91d04c52"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_change",
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_core_change_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_core_change")),
    )


def downgrade() -> None:
    op.drop_table("core_change")
