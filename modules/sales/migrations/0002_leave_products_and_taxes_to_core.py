"""Leave products and taxes to core"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7c41e0d8a2f5"
down_revision = "0ce14beffd8c"
branch_labels = None
depends_on = None

_TAX = "id + {tax}, name, rate, company_id, active"
_PRODUCT = (
    "id + {product}, code, '', name, '', description, unit_price, unit, tax_id + {tax}, company_id, "
    "{true}, active"
)


def upgrade() -> None:
    connection = op.get_bind()
    # Where sales was not enabled when core began to keep products, some are there already.
    offsets = {
        name: connection.execute(sa.text(f"SELECT coalesce(max(id), 0) FROM core_{name}")).scalar_one()  # noqa: S608
        for name in ("tax", "product")
    }
    offsets["true"] = "true" if connection.dialect.name == "postgresql" else 1
    op.execute(
        f"INSERT INTO core_tax (id, name, rate, company_id, active) SELECT {_TAX.format(**offsets)} FROM sales_tax"  # noqa: S608
    )
    op.execute(
        "INSERT INTO core_product (id, code, barcode, name, category, description, unit_price, unit, tax_id, "  # noqa: S608
        f"company_id, over_the_counter, active) SELECT {_PRODUCT.format(**offsets)} FROM sales_product"
    )
    if connection.dialect.name == "postgresql":
        for table in ("core_tax", "core_product"):
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"  # noqa: S608
            )
    with op.batch_alter_table("sales_line", schema=None) as batch_op:
        batch_op.drop_constraint("fk_sales_line_product_id_sales_product", type_="foreignkey")
        batch_op.drop_constraint("fk_sales_line_tax_id_sales_tax", type_="foreignkey")
    op.execute(
        "UPDATE sales_line SET product_id = product_id + {product}, tax_id = tax_id + {tax}".format(**offsets)  # noqa: S608 (numbers)
    )
    with op.batch_alter_table("sales_line", schema=None) as batch_op:
        batch_op.create_foreign_key(
            "fk_sales_line_product_id_core_product",
            "core_product",
            ["product_id"],
            ["id"],
            ondelete="SET NULL",
        )
        batch_op.create_foreign_key(
            "fk_sales_line_tax_id_core_tax", "core_tax", ["tax_id"], ["id"], ondelete="SET NULL"
        )
    op.drop_table("sales_product")
    op.drop_table("sales_tax")


def downgrade() -> None:
    raise NotImplementedError("Products that other modules use as well cannot be given back to sales.")
