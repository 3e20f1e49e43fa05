"""Tax by the kind of customer, and say late payment apart"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7d20b6e94f15"
down_revision = "c41a9e07d2b8"
branch_labels = None
depends_on = None
# See docs/adr/0019.
contract = "Programs from before stop whenever their tables change."


def upgrade() -> None:
    op.add_column(
        "core_company", sa.Column("late_payment_line", sa.Text(), server_default="", nullable=False)
    )
    op.create_table(
        "core_tax_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("customers", sa.String(length=32), nullable=False),
        sa.Column("untaxed", sa.Boolean(), nullable=False),
        sa.Column("mention", sa.String(length=300), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("translations", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_core_tax_rule_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_tax_rule")),
    )
    op.create_index("ix_core_tax_rule_name_id", "core_tax_rule", ["name", "id"])
    op.create_table(
        "core_tax_replacement",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("tax_id", sa.Integer(), nullable=False),
        sa.Column("instead_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"],
            ["core_tax_rule.id"],
            name=op.f("fk_core_tax_replacement_rule_id_core_tax_rule"),
            ondelete="CASCADE",
        ),
        *(
            sa.ForeignKeyConstraint(
                [column],
                ["core_tax.id"],
                name=op.f(f"fk_core_tax_replacement_{column}_core_tax"),
                ondelete="CASCADE",
            )
            for column in ("tax_id", "instead_id")
        ),
        sa.PrimaryKeyConstraint("rule_id", "tax_id", name=op.f("pk_core_tax_replacement")),
    )


def downgrade() -> None:
    op.drop_table("core_tax_replacement")
    op.drop_index("ix_core_tax_rule_name_id", table_name="core_tax_rule")
    op.drop_table("core_tax_rule")
    op.drop_column("core_company", "late_payment_line")
