"""Find addresses in any case"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.partners.match_key import address_key

revision = "7d40b1e2c693"
down_revision = "b83e0f5a6d19"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "core_partner", sa.Column("email_key", sa.String(length=300), server_default="", nullable=False)
    )
    partner = sa.table(
        "core_partner", sa.column("id", sa.Integer()), sa.column("email"), sa.column("email_key")
    )
    connection = op.get_bind()
    rows = connection.execute(sa.select(partner.c.id, partner.c.email).where(partner.c.email != "")).all()
    if rows:
        connection.execute(
            partner.update().where(partner.c.id == sa.bindparam("row")).values(email_key=sa.bindparam("key")),
            [{"row": row.id, "key": address_key(row.email)} for row in rows],
        )
    op.create_index(op.f("ix_core_partner_email_key"), "core_partner", ["email_key"])


def downgrade() -> None:
    op.drop_index(op.f("ix_core_partner_email_key"), table_name="core_partner")
    op.drop_column("core_partner", "email_key")
