"""Know the installation"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c41d7e90b2a5"
down_revision = "5f3d2a9c1b7e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("held_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_sign", sa.String(length=32), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_core_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_installation")),
    )
