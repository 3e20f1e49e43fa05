"""Know a copy as such"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db.types import UtcDateTime

revision = "5e9c17d2b840"
down_revision = "7d40b1e2c693"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("core_installation", sa.Column("copy_since", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("core_installation") as batch_op:
        batch_op.drop_column("copy_since")
