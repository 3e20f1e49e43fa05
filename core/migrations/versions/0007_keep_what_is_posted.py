"""Keep what is posted, and one product for a code"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d41f7b60a9c3"
down_revision = "c48e0d7a61f2"
branch_labels = None
depends_on = None


def _where(column: str, of_all: bool) -> sa.TextClause:
    return sa.text(f"active AND {column} <> '' AND company_id IS {'' if of_all else 'NOT '}NULL")


def upgrade() -> None:
    for column in ("code", "barcode"):
        # Of two that are found by one code the older keeps it; the other gets its id behind it, so that nothing is
        # lost and a person sees it.
        op.execute(
            f"UPDATE core_product SET {column} = substr({column}, 1, 28) || '-' || id "  # noqa: S608 (constants)
            f"WHERE active AND {column} <> '' AND EXISTS (SELECT 1 FROM core_product AS twin WHERE twin.active "
            f"AND twin.{column} = core_product.{column} AND twin.id < core_product.id AND (twin.company_id IS NULL "
            "OR core_product.company_id IS NULL OR twin.company_id = core_product.company_id))"
        )
        for of_all in (False, True):
            where = _where(column, of_all)
            op.create_index(
                f"uq_core_product_{'' if of_all else 'company_id_'}{column}",
                "core_product",
                [column] if of_all else ["company_id", column],
                unique=True,
                sqlite_where=where,
                postgresql_where=where,
            )
    op.execute("UPDATE core_partner SET is_main = false WHERE is_main AND (parent_id IS NULL OR NOT active)")
    op.execute(
        "UPDATE core_partner SET is_main = false WHERE is_main AND EXISTS (SELECT 1 FROM core_partner AS twin "
        "WHERE twin.is_main AND twin.parent_id = core_partner.parent_id AND twin.id < core_partner.id)"
    )
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.create_index(
            "uq_core_partner_parent_id_main",
            ["parent_id"],
            unique=True,
            sqlite_where=sa.text("is_main"),
            postgresql_where=sa.text("is_main"),
        )
        batch_op.create_check_constraint(
            op.f("ck_core_partner_main_is_active_contact"),
            "NOT is_main OR (active AND parent_id IS NOT NULL)",
        )


def downgrade() -> None:
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_core_partner_main_is_active_contact"), type_="check")
        batch_op.drop_index("uq_core_partner_parent_id_main")
    for column in ("code", "barcode"):
        for of_all in (False, True):
            op.drop_index(f"uq_core_product_{'' if of_all else 'company_id_'}{column}", "core_product")
