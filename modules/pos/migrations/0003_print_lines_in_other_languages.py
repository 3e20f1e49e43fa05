"""Print lines in other languages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e1a7c3d95f48"
down_revision = "7d51c0f3a9e4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "pos_line", sa.Column("translations", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("pos_line", "translations")
