"""Import products as well"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7c40d9e1a35"
down_revision = "3f8a51c07e92"
branch_labels = None
depends_on = None

_KEY = "fk_core_partner_import_row_product_id_core_product"


def upgrade() -> None:
    op.add_column(
        "core_partner_import",
        sa.Column("subject", sa.String(length=16), server_default="partners", nullable=False),
    )
    with op.batch_alter_table("core_partner_import_row", schema=None) as batch_op:
        batch_op.add_column(sa.Column("product_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f(_KEY), "core_product", ["product_id"], ["id"], ondelete="SET NULL"
        )
        batch_op.create_index(batch_op.f("ix_core_partner_import_row_product_id"), ["product_id"])


def downgrade() -> None:
    # The former program would take them for customers.
    op.execute(
        "DELETE FROM core_partner_import_row WHERE import_id IN "
        "(SELECT id FROM core_partner_import WHERE subject <> 'partners')"
    )
    op.execute("DELETE FROM core_partner_import WHERE subject <> 'partners'")
    with op.batch_alter_table("core_partner_import_row", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_core_partner_import_row_product_id"))
        batch_op.drop_constraint(batch_op.f(_KEY), type_="foreignkey")
        batch_op.drop_column("product_id")
    op.drop_column("core_partner_import", "subject")
