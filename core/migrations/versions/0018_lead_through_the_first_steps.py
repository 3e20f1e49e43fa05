"""Lead through the first steps"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3f8a51c07e92"
down_revision = "7d20b6e94f15"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_first_step",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("put_off", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_core_first_step")),
    )


def downgrade() -> None:
    op.drop_table("core_first_step")
