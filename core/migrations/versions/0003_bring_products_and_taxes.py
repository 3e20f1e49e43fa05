"""Bring products and taxes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5f3d2a9c1b7e"
down_revision = "af79aa17c910"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_tax",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_core_tax_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_tax")),
    )
    op.create_index("ix_core_tax_name_id", "core_tax", ["name", "id"])
    op.create_table(
        "core_product",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("barcode", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("category", sa.String(length=60), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("tax_id", sa.Integer(), nullable=True),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("over_the_counter", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_core_product_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tax_id"], ["core_tax.id"], name=op.f("fk_core_product_tax_id_core_tax"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_product")),
    )
    op.create_index("ix_core_product_name_id", "core_product", ["name", "id"])
    op.create_index("ix_core_product_code_id", "core_product", ["code", "id"])
    op.create_index("ix_core_product_barcode", "core_product", ["barcode"])
    # The permission keeps whom administrators have given it to; it was that of sales.
    for table, column in (("core_grant", "permission"), ("core_known_permission", "name")):
        op.execute(
            f"UPDATE {table} SET {column} = 'core.product.edit' WHERE {column} = 'sales.product.edit'"  # noqa: S608 (constants)
        )


def downgrade() -> None:
    for table, column in (("core_grant", "permission"), ("core_known_permission", "name")):
        op.execute(
            f"UPDATE {table} SET {column} = 'sales.product.edit' WHERE {column} = 'core.product.edit'"  # noqa: S608 (constants)
        )
    op.drop_table("core_product")
    op.drop_table("core_tax")
