"""Say whose a customer is, and keep the history of its addresses"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7e2059d4c18"
down_revision = "5d0b93c7e214"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.add_column(sa.Column("company_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("owner_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_core_partner_company_id_core_company"),
            "core_company",
            ["company_id"],
            ["id"],
            ondelete="RESTRICT",
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_core_partner_owner_id_core_user"),
            "core_user",
            ["owner_id"],
            ["id"],
            ondelete="RESTRICT",
        )
        batch_op.create_index(batch_op.f("ix_core_partner_company_id"), ["company_id"])
        batch_op.create_index(batch_op.f("ix_core_partner_owner_id"), ["owner_id"])
        batch_op.create_check_constraint(
            batch_op.f("ck_core_partner_company_or_owner"), "company_id IS NULL OR owner_id IS NULL"
        )
    op.create_table(
        "core_address_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("before", sa.String(length=400), nullable=False),
        sa.Column("after", sa.String(length=400), nullable=False),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_core_address_change_partner_id_core_partner"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_core_address_change_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_address_change")),
    )
    for column in ("partner_id", "before", "after"):
        op.create_index(op.f(f"ix_core_address_change_{column}"), "core_address_change", [column])
    # Every customer stays for all. Only a permission without bounds would see those that become one company's, and
    # until now each grant had to be without.
    op.execute(
        "UPDATE core_grant SET scope = 'company' WHERE permission IN ('core.partner.read', 'core.partner.edit') "
        "AND role_id IN (SELECT id FROM core_role WHERE code <> 'administrator')"
    )


def downgrade() -> None:
    op.execute(
        "UPDATE core_grant SET scope = 'all' WHERE permission IN ('core.partner.read', 'core.partner.edit')"
    )
    op.drop_table("core_address_change")
    with op.batch_alter_table("core_partner", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_core_partner_company_or_owner"), type_="check")
        batch_op.drop_index(batch_op.f("ix_core_partner_owner_id"))
        batch_op.drop_index(batch_op.f("ix_core_partner_company_id"))
        batch_op.drop_constraint(batch_op.f("fk_core_partner_owner_id_core_user"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_core_partner_company_id_core_company"), type_="foreignkey")
        batch_op.drop_column("owner_id")
        batch_op.drop_column("company_id")
