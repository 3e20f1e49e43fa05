"""Find the invoice of an order"""

from __future__ import annotations

from alembic import op

revision = "5f0a93d1c7e4"
down_revision = "91e5c4a7d03b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_sales_invoice_order_id"), "sales_invoice", ["order_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_sales_invoice_order_id"), "sales_invoice")
