"""Keep lists of recipients"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c41a9e07d2b8"
down_revision = "5e9c17d2b840"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "core_partner_list",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "company_id IS NULL OR owner_id IS NULL", name=op.f("ck_core_partner_list_company_or_owner")
        ),
        sa.CheckConstraint(
            "kind <> 'working' OR owner_id IS NOT NULL", name=op.f("ck_core_partner_list_working_is_owned")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_core_partner_list_company_id_core_company"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["core_user.id"],
            name=op.f("fk_core_partner_list_owner_id_core_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_core_partner_list")),
    )
    op.create_index(op.f("ix_core_partner_list_company_id"), "core_partner_list", ["company_id"])
    op.create_index(op.f("ix_core_partner_list_owner_id"), "core_partner_list", ["owner_id"])
    op.create_index(
        "uq_core_partner_list_working",
        "core_partner_list",
        ["owner_id"],
        unique=True,
        sqlite_where=sa.text("kind = 'working'"),
        postgresql_where=sa.text("kind = 'working'"),
    )
    op.create_table(
        "core_partner_list_member",
        sa.Column("list_id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"],
            ["core_partner_list.id"],
            name=op.f("fk_core_partner_list_member_list_id_core_partner_list"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_core_partner_list_member_partner_id_core_partner"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("list_id", "partner_id", name=op.f("pk_core_partner_list_member")),
    )
    op.create_index("ix_core_partner_list_member_partner_id", "core_partner_list_member", ["partner_id"])
    op.create_index(
        "ix_core_document_buyers",
        "core_document",
        ["kind", "date", "partner_id", "company_id", "owner_id", "id"],
    )


def downgrade() -> None:
    op.drop_index("ix_core_document_buyers", table_name="core_document")
    op.drop_table("core_partner_list_member")
    op.drop_table("core_partner_list")
