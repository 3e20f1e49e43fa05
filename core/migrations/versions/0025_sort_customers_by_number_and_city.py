"""Sort customers by number and city, find archived ones, and the functions of contacts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5c0e84f1d7a2"
down_revision = "4b9d27c5e8f1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_core_partner_city_id", "core_partner", ["city", "id"])
    op.create_index("ix_core_partner_number_id", "core_partner", ["number", "id"])
    op.drop_index("ix_core_partner_number", table_name="core_partner")
    op.create_index(op.f("ix_core_partner_function"), "core_partner", ["function"])
    op.create_index(
        "ix_core_partner_archived",
        "core_partner",
        ["name", "id"],
        sqlite_where=sa.text("active = 0"),
        postgresql_where=sa.text("active = false"),
    )


def downgrade() -> None:
    op.drop_index("ix_core_partner_archived", table_name="core_partner")
    op.drop_index(op.f("ix_core_partner_function"), table_name="core_partner")
    op.create_index("ix_core_partner_number", "core_partner", ["number"])
    op.drop_index("ix_core_partner_number_id", table_name="core_partner")
    op.drop_index("ix_core_partner_city_id", table_name="core_partner")
