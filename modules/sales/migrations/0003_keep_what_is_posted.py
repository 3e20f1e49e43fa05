"""Keep what is posted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3b9e51c7d204"
down_revision = "7c41e0d8a2f5"
branch_labels = None
depends_on = None


OWNED = ("sales_line", "sales_order", "sales_invoice")


def _on_delete(what: str) -> None:
    for table in OWNED:
        name = op.f(f"fk_{table}_document_id_core_document")
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(name, type_="foreignkey")
            batch_op.create_foreign_key(name, "core_document", ["document_id"], ["id"], ondelete=what)


def upgrade() -> None:
    _on_delete("RESTRICT")
    with op.batch_alter_table("sales_invoice", schema=None) as batch_op:
        batch_op.add_column(sa.Column("superseded", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(
            sa.Column("contact_name", sa.String(length=120), nullable=False, server_default="")
        )
    op.execute(
        "UPDATE sales_invoice SET contact_name = coalesce((SELECT core_user.name FROM core_user JOIN core_document "
        "ON core_document.owner_id = core_user.id WHERE core_document.id = sales_invoice.document_id), '') "
        "WHERE state = 'posted'"
    )
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
        batch_op.drop_column("contact_name")
    _on_delete("CASCADE")
