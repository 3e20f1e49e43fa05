"""Sort customers by families, tags and function codes, and note which emails they want"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.partners.match_key import match_key

revision = "3c8a51f7e960"
down_revision = "5e0c93d1a7f4"
branch_labels = None
depends_on = None

_FILTERED = ("family_id", "country", "language", "consent")


def upgrade() -> None:
    op.create_table(
        "core_partner_label",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("color", sa.String(length=32), nullable=False),
        sa.Column("document_kinds", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_partner_label")),
    )
    op.create_index("uq_core_partner_label_kind_name", "core_partner_label", ["kind", "name"], unique=True)
    op.create_index(
        "uq_core_partner_label_kind_code",
        "core_partner_label",
        ["kind", "code"],
        unique=True,
        sqlite_where=sa.text("code <> ''"),
        postgresql_where=sa.text("code <> ''"),
    )
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.add_column(sa.Column("number", sa.String(length=40), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("consent", sa.String(length=32), server_default="necessary", nullable=False)
        )
        batch_op.add_column(sa.Column("consent_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("consent_source", sa.String(length=160), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("family_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("match_key", sa.String(length=260), server_default="", nullable=False))
        batch_op.add_column(sa.Column("merged_into_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_core_partner_merged_into_id_core_partner"),
            "core_partner",
            ["merged_into_id"],
            ["id"],
            ondelete="CASCADE",
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_core_partner_family_id_core_partner_label"),
            "core_partner_label",
            ["family_id"],
            ["id"],
            ondelete="SET NULL",
        )
    op.execute(
        "UPDATE core_partner SET consent = 'none', consent_at = opted_out_at WHERE opted_out_at IS NOT NULL"
    )
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.drop_column("opted_out_at")
    _write_match_keys()
    op.create_index(op.f("ix_core_partner_match_key"), "core_partner", ["match_key"])
    op.create_index(op.f("ix_core_partner_number"), "core_partner", ["number"])
    op.create_index(op.f("ix_core_partner_merged_into_id"), "core_partner", ["merged_into_id"])
    for column in _FILTERED:
        op.create_index(f"ix_core_partner_{column}_name_id", "core_partner", [column, "name", "id"])
    op.create_table(
        "core_partner_labeled",
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.Column("label_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_core_partner_labeled_partner_id_core_partner"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["core_partner_label.id"],
            name=op.f("fk_core_partner_labeled_label_id_core_partner_label"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("partner_id", "label_id", name=op.f("pk_core_partner_labeled")),
    )
    op.create_index(
        "ix_core_partner_labeled_label_id_partner_id", "core_partner_labeled", ["label_id", "partner_id"]
    )
    _make_history(
        "core_partner_change", sa.Column("source", sa.String(160), server_default="", nullable=False)
    )
    _move_history("core_address_change", "core_partner_change")
    _make_imports()


def downgrade() -> None:
    op.drop_table("core_partner_import_row")
    op.drop_table("core_partner_import")
    _make_history("core_address_change")
    op.execute("DELETE FROM core_partner_change WHERE kind = 'consent'")
    _move_history("core_partner_change", "core_address_change")
    op.drop_table("core_partner_labeled")
    for column in _FILTERED:
        op.drop_index(f"ix_core_partner_{column}_name_id", "core_partner")
    op.drop_index(op.f("ix_core_partner_match_key"), "core_partner")
    op.drop_index(op.f("ix_core_partner_number"), "core_partner")
    op.drop_index(op.f("ix_core_partner_merged_into_id"), "core_partner")
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.add_column(sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE core_partner SET opted_out_at = consent_at WHERE consent = 'none'")
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.drop_constraint(
            batch_op.f("fk_core_partner_family_id_core_partner_label"), type_="foreignkey"
        )
        batch_op.drop_constraint(
            batch_op.f("fk_core_partner_merged_into_id_core_partner"), type_="foreignkey"
        )
        for column in (
            "merged_into_id",
            "match_key",
            "family_id",
            "consent_source",
            "consent_at",
            "consent",
            "number",
        ):
            batch_op.drop_column(column)
    op.drop_table("core_partner_label")


def _write_match_keys() -> None:
    partner = sa.table(
        "core_partner", sa.column("id"), sa.column("name"), sa.column("city"), sa.column("match_key")
    )
    connection = op.get_bind()
    rows = connection.execute(sa.select(partner.c.id, partner.c.name, partner.c.city)).all()
    if rows:
        connection.execute(
            partner.update().where(partner.c.id == sa.bindparam("row")).values(match_key=sa.bindparam("key")),
            [{"row": row.id, "key": match_key(row.name, row.city)} for row in rows],
        )


def _make_imports() -> None:
    op.create_table(
        "core_partner_import",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("file_name", sa.String(length=160), nullable=False),
        sa.Column("form", sa.String(length=60), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("match_by", sa.String(length=32), nullable=False),
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
                [column],
                [f"{table}.id"],
                name=op.f(f"fk_core_partner_import_{column}_{table}"),
                ondelete="CASCADE",
            )
            for column, table in (
                ("by_user_id", "core_user"),
                ("company_id", "core_company"),
                ("owner_id", "core_user"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_partner_import")),
    )
    for column in ("by_user_id", "state"):
        op.create_index(op.f(f"ix_core_partner_import_{column}"), "core_partner_import", [column])
    op.create_table(
        "core_partner_import_row",
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
        sa.Column("partner_id", sa.Integer(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("undone", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"],
            ["core_partner_import.id"],
            name=op.f("fk_core_partner_import_row_import_id_core_partner_import"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_core_partner_import_row_partner_id_core_partner"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_partner_import_row")),
    )
    for columns in (["import_id", "verdict", "id"], ["import_id", "key"], ["import_id", "name"]):
        op.create_index(f"ix_core_partner_import_row_{'_'.join(columns)}", "core_partner_import_row", columns)
    op.create_index(op.f("ix_core_partner_import_row_partner_id"), "core_partner_import_row", ["partner_id"])


def _make_history(table: str, *more: sa.Column[str]) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("before", sa.String(length=400), nullable=False),
        sa.Column("after", sa.String(length=400), nullable=False),
        *more,
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f(f"fk_{table}_partner_id_core_partner"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f(f"fk_{table}_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def _move_history(old: str, new: str) -> None:
    columns = 'partner_id, at, by_user_id, kind, "before", "after"'
    op.execute(f"INSERT INTO {new} ({columns}) SELECT {columns} FROM {old} ORDER BY id")  # noqa: S608
    op.drop_table(old)
    for column in ("partner_id", "before", "after"):
        op.create_index(op.f(f"ix_{new}_{column}"), new, [column])
