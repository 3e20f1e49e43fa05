"""Keep what is sold"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9a2c64e8f15b"
down_revision = "e3b60d5a17c8"
branch_labels = None
depends_on = None


OWNED = (
    ("pos_ticket", "document_id", "core_document"),
    ("pos_line", "document_id", "core_document"),
    ("pos_payment", "document_id", "core_document"),
    ("pos_session", "register_id", "pos_register"),
)


def _on_delete(what: str) -> None:
    for table, column, other in OWNED:
        name = op.f(f"fk_{table}_{column}_{other}")
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(name, type_="foreignkey")
            batch_op.create_foreign_key(name, other, [column], ["id"], ondelete=what)


def _one_row_at_a_place(table: str) -> None:
    """Number the rows of tickets anew that have two at one place, in the order in which they were printed."""
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


PLACES = (("pos_line", "ix_pos_line_document_id_position"), ("pos_payment", "ix_pos_payment_document_id"))


def upgrade() -> None:
    _on_delete("RESTRICT")
    for table, index in PLACES:
        _one_row_at_a_place(table)
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(index)
            batch_op.create_unique_constraint(
                op.f(f"uq_{table}_document_id_position"), ["document_id", "position"]
            )
    with op.batch_alter_table("pos_ticket", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("customer_name", sa.String(length=160), nullable=False, server_default="")
        )
        batch_op.add_column(
            sa.Column("cashier_name", sa.String(length=120), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("timezone", sa.String(length=64), nullable=False, server_default="UTC"))
    # As they are called today: what was printed then is not known any more.
    of_ticket = "JOIN core_document ON core_document.{key} = {table}.id WHERE core_document.id = pos_ticket.document_id"
    partner = of_ticket.format(key="partner_id", table="core_partner")
    user = of_ticket.format(key="owner_id", table="core_user")
    op.execute(
        "UPDATE pos_ticket SET "  # noqa: S608 (constants)
        f"customer_name = coalesce((SELECT core_partner.name FROM core_partner {partner}), ''), "
        f"cashier_name = coalesce((SELECT core_user.name FROM core_user {user}), ''), "
        f"timezone = coalesce((SELECT core_user.timezone FROM core_user {user}), 'UTC')"
    )
    with op.batch_alter_table("pos_session", schema=None) as batch_op:
        batch_op.add_column(sa.Column("currency", sa.String(length=3), nullable=False, server_default=""))
    # That of its first ticket, since the company may have got another one; else the company's.
    op.execute(
        "UPDATE pos_session SET currency = coalesce("
        "(SELECT currency FROM core_document WHERE id = (SELECT min(document_id) FROM pos_ticket "
        "WHERE pos_ticket.session_id = pos_session.id)), "
        "(SELECT core_company.currency FROM core_company JOIN pos_register "
        "ON pos_register.company_id = core_company.id WHERE pos_register.id = pos_session.register_id))"
    )
    with op.batch_alter_table("pos_session", schema=None) as batch_op:
        batch_op.alter_column("currency", existing_type=sa.String(length=3), server_default=None)


def downgrade() -> None:
    for table, index in PLACES:
        columns = ["document_id", "position"] if table == "pos_line" else ["document_id"]
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(op.f(f"uq_{table}_document_id_position"), type_="unique")
            batch_op.create_index(index, columns, unique=False)
    with op.batch_alter_table("pos_session", schema=None) as batch_op:
        batch_op.drop_column("currency")
    with op.batch_alter_table("pos_ticket", schema=None) as batch_op:
        for name in ("timezone", "cashier_name", "customer_name"):
            batch_op.drop_column(name)
    _on_delete("CASCADE")
