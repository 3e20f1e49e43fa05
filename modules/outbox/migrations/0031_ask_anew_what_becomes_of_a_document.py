"""Ask anew what becomes of a document"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e7a40c9b52d8"
down_revision = "5b20d9e7c413"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_run_item", sa.Column("asked", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("outbox_run_item", "asked")
