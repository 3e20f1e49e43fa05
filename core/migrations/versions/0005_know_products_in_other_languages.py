"""Know products and taxes in other languages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3b7e91d04c52"
down_revision = "c41d7e90b2a5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("core_tax", "core_product"):
        # The default is for the rows that are there, and for those that a module brings from its older tables.
        op.add_column(
            table, sa.Column("translations", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
        )


def downgrade() -> None:
    for table in ("core_product", "core_tax"):
        op.drop_column(table, "translations")
