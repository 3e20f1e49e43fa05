"""Find what was not bought"""

from __future__ import annotations

from alembic import op

revision = "2f9c81b64d0e"
down_revision = "6d0f3a91c7b2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_sales_order_state_document_id", "sales_order", ["state", "document_id"])
    op.create_index("ix_sales_invoice_state_document_id", "sales_invoice", ["state", "document_id"])


def downgrade() -> None:
    op.drop_index("ix_sales_invoice_state_document_id", table_name="sales_invoice")
    op.drop_index("ix_sales_order_state_document_id", table_name="sales_order")
