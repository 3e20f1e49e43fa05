"""Import products as well"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7c40d9e1a35"
down_revision = "3f8a51c07e92"
branch_labels = None
depends_on = None

_IMPORT = (
    "id, by_user_id, at, file_name, form, header, mapping, match_by, make_labels, company_id, owner_id, state, total, "
    "done, last_id, touched_at"
)
_ROW = (
    "id, import_id, line, cells, key, name, number, verdict, field, problem, partner_id, before, after, applied, "
    "undone"
)


def _make(name: str, *, products: bool) -> None:
    subject = [sa.Column("subject", sa.String(length=16), nullable=False)] if products else []
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), nullable=False),
        *subject,
        sa.Column("by_user_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("file_name", sa.String(length=160), nullable=False),
        sa.Column("form", sa.String(length=60), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("match_by", sa.String(length=16 if products else 32), nullable=False),
        sa.Column("make_labels", sa.Boolean(), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_{name}_{column}_{table}"), ondelete="CASCADE"
            )
            for column, table in (
                ("by_user_id", "core_user"),
                ("company_id", "core_company"),
                ("owner_id", "core_user"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    for column in ("by_user_id", "state"):
        op.create_index(op.f(f"ix_{name}_{column}"), name, [column])
    row, named = f"{name}_row", [("partner_id", "core_partner")]
    if products:
        named.append(("product_id", "core_product"))
    op.create_table(
        row,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("problem", sa.String(length=400), nullable=False),
        *(sa.Column(column, sa.Integer(), nullable=True) for column, _table in named),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("undone", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], [f"{name}.id"], name=op.f(f"fk_{row}_import_id_{name}"), ondelete="CASCADE"
        ),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_{row}_{column}_{table}"), ondelete="SET NULL"
            )
            for column, table in named
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{row}")),
    )
    for column, _table in named:
        op.create_index(op.f(f"ix_{row}_{column}"), row, [column])
    op.create_index(f"ix_{row}_import_id_verdict_id", row, ["import_id", "verdict", "id"])
    op.create_index(f"ix_{row}_import_id_key", row, ["import_id", "key"])
    op.create_index(f"ix_{row}_import_id_name", row, ["import_id", "name"])


def _move(
    former: str, table: str, columns: str, *, more: str = "", values: str = "", where: str = ""
) -> None:
    op.execute(f"INSERT INTO {table} ({more}{columns}) SELECT {values}{columns} FROM {former}{where}")  # noqa: S608 (names of ours)
    if op.get_bind().dialect.name == "postgresql":
        # The numbers went along: what is made next has the one behind them.
        last = (
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table} HAVING max(id) > 0"  # noqa: S608
        )
        op.execute(last)


def upgrade() -> None:
    _make("core_import", products=True)
    _move("core_partner_import", "core_import", _IMPORT, more="subject, ", values="'partners', ")
    _move("core_partner_import_row", "core_import_row", _ROW)
    op.drop_table("core_partner_import_row")
    op.drop_table("core_partner_import")


def downgrade() -> None:
    _make("core_partner_import", products=False)
    _move("core_import", "core_partner_import", _IMPORT, where=" WHERE subject = 'partners'")
    _move(
        "core_import_row",
        "core_partner_import_row",
        _ROW,
        where=" WHERE import_id IN (SELECT id FROM core_partner_import)",
    )
    op.drop_table("core_import_row")
    op.drop_table("core_import")
