"""Invoice again what was credited in full"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c41b7e90d25a"
down_revision = "2f9c81b64d0e"
branch_labels = None
depends_on = None

_BY_TOTAL = """
UPDATE sales_invoice SET credited = true WHERE state = 'posted' AND reversed_id IS NULL AND EXISTS (
    SELECT 1 FROM core_document AS own WHERE own.id = sales_invoice.document_id AND own.total > 0 AND own.total <= (
        SELECT SUM(theirs.total) FROM sales_invoice AS note
        JOIN core_document AS theirs ON theirs.id = note.document_id
        WHERE note.reversed_id = sales_invoice.document_id AND note.state = 'posted'
    )
)
"""


def upgrade() -> None:
    with op.batch_alter_table("sales_invoice") as batch_op:
        batch_op.add_column(sa.Column("credited", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_check_constraint(
            op.f("ck_sales_invoice_credited_is_posted"), "NOT credited OR state = 'posted'"
        )
    # No credit note takes back more than was invoiced, so the totals say it.
    op.execute(_BY_TOTAL)
    _index("state <> 'canceled' AND NOT credited")


def downgrade() -> None:
    # An order that was invoiced again keeps the newer invoice alone.
    op.execute(
        "UPDATE sales_invoice SET order_id = NULL WHERE credited AND order_id IN (SELECT order_id FROM sales_invoice "
        "WHERE order_id IS NOT NULL AND state <> 'canceled' AND NOT credited)"
    )
    _index("state <> 'canceled'")
    with op.batch_alter_table("sales_invoice") as batch_op:
        batch_op.drop_constraint(op.f("ck_sales_invoice_credited_is_posted"), type_="check")
        batch_op.drop_column("credited")


def _index(condition: str) -> None:
    op.drop_index("uq_sales_invoice_order_id", table_name="sales_invoice")
    op.create_index(
        "uq_sales_invoice_order_id",
        "sales_invoice",
        ["order_id"],
        unique=True,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )
