"""Know payment terms, and countries of users"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5e0c93d1a7f4"
down_revision = "b7e2059d4c18"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_payment_terms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("translations", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_core_payment_terms_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_payment_terms")),
    )
    op.create_index("ix_core_payment_terms_name_id", "core_payment_terms", ["name", "id"])
    # Empty: the company's, as everybody had it.
    op.add_column("core_user", sa.Column("country", sa.String(length=2), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("core_user", "country")
    op.drop_table("core_payment_terms")
