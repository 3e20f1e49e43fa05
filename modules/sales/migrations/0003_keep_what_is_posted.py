"""Keep what is posted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3b9e51c7d204"
down_revision = "7c41e0d8a2f5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sales_invoice", schema=None) as batch_op:
        batch_op.add_column(sa.Column("superseded", sa.Boolean(), nullable=False, server_default=sa.false()))
    # A draft of an order that is canceled, or was canceled and confirmed anew since the draft was canceled.
    op.execute(
        "UPDATE sales_invoice SET state = 'canceled' WHERE state = 'draft' AND order_id IN "
        "(SELECT document_id FROM sales_order WHERE state <> 'order')"
    )
    op.execute(
        "UPDATE sales_invoice SET superseded = true WHERE state = 'canceled' AND order_id IS NOT NULL AND "
        "(order_id IN (SELECT document_id FROM sales_order WHERE state <> 'order') OR "
        "(SELECT updated_at FROM core_document WHERE id = order_id) > "
        "(SELECT updated_at FROM core_document WHERE id = sales_invoice.document_id))"
    )
    with op.batch_alter_table("sales_invoice", schema=None) as batch_op:
        batch_op.create_check_constraint(
            op.f("ck_sales_invoice_superseded_is_canceled"), "NOT superseded OR state = 'canceled'"
        )


def downgrade() -> None:
    with op.batch_alter_table("sales_invoice", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_sales_invoice_superseded_is_canceled"), type_="check")
        batch_op.drop_column("superseded")
