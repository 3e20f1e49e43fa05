"""Find VAT numbers however they were typed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.partners.match_key import vat_key

revision = "4b9d27c5e8f1"
down_revision = "e1a7c94d60b3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its default stays: SQLite would copy the whole table to take it away.
    op.add_column(
        "core_partner", sa.Column("vat_key", sa.String(length=80), server_default="", nullable=False)
    )
    partner = sa.table("core_partner", sa.column("id", sa.Integer()), sa.column("vat"), sa.column("vat_key"))
    connection = op.get_bind()
    rows = connection.execute(sa.select(partner.c.id, partner.c.vat).where(partner.c.vat != "")).all()
    if rows:
        connection.execute(
            partner.update().where(partner.c.id == sa.bindparam("row")).values(vat_key=sa.bindparam("key")),
            [{"row": row.id, "key": vat_key(row.vat)} for row in rows],
        )
    op.create_index(op.f("ix_core_partner_vat_key"), "core_partner", ["vat_key"])


def downgrade() -> None:
    op.drop_index(op.f("ix_core_partner_vat_key"), table_name="core_partner")
    op.drop_column("core_partner", "vat_key")
