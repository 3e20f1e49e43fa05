"""Keep what is posted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3b9e51c7d204"
down_revision = "d2f4a86b1e90"
branch_labels = None
depends_on = None


OWNED = ("sales_line", "sales_order", "sales_invoice")


def _on_delete(what: str) -> None:
    for table in OWNED:
        name = op.f(f"fk_{table}_document_id_core_document")
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(name, type_="foreignkey")
            batch_op.create_foreign_key(name, "core_document", ["document_id"], ["id"], ondelete=what)


def _one_line_at_a_place(table: str) -> None:
    """Number the lines of documents anew that have two at one place, in the order in which they were printed."""
    rows = sa.table(table, sa.column("id"), sa.column("document_id"), sa.column("position"))
    connection = op.get_bind()
    twice = (
        sa.select(rows.c.document_id)
        .group_by(rows.c.document_id, rows.c.position)
        .having(sa.func.count() > 1)
    )
    last, place = None, 0
    query = sa.select(rows.c.id, rows.c.document_id).where(rows.c.document_id.in_(twice))
    for number, document_id in connection.execute(
        query.order_by(rows.c.document_id, rows.c.position, rows.c.id)
    ).all():
        place = place + 1 if document_id == last else 1
        last = document_id
        connection.execute(rows.update().where(rows.c.id == number).values(position=place))


def upgrade() -> None:
    _on_delete("RESTRICT")
    _one_line_at_a_place("sales_line")
    with op.batch_alter_table("sales_line", schema=None) as batch_op:
        batch_op.drop_index("ix_sales_line_document_id_position")
        batch_op.create_unique_constraint(
            op.f("uq_sales_line_document_id_position"), ["document_id", "position"]
        )
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
    with op.batch_alter_table("sales_line", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("uq_sales_line_document_id_position"), type_="unique")
        batch_op.create_index("ix_sales_line_document_id_position", ["document_id", "position"], unique=False)
    _on_delete("CASCADE")
