"""Create the table of vouchers"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "70e000000001"
down_revision = None
branch_labels = ("toy",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "toy_voucher",
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("greeting", sa.String(length=200), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("expired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name=op.f("fk_toy_voucher_document_id_core_document"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_id", name=op.f("pk_toy_voucher")),
    )
    op.create_index("ix_toy_voucher_expires_on", "toy_voucher", ["expires_on"])


def downgrade() -> None:
    op.drop_index("ix_toy_voucher_expires_on", "toy_voucher")
    op.drop_table("toy_voucher")
