"""Lock a PIN each time for twice as long"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e3b60d5a17c8"
down_revision = "e1a7c3d95f48"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pos_pin", sa.Column("locks", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("pos_pin") as table:
        table.alter_column("locks", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("pos_pin") as table:
        table.drop_column("locks")
