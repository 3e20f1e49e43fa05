"""Know which programs can work with the tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5f0c8a91d3e7"
down_revision = "b5e2f70c91d4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_oldest_program",
        sa.Column("module", sa.String(length=63), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("module", name=op.f("pk_core_oldest_program")),
    )


def downgrade() -> None:
    op.drop_table("core_oldest_program")
