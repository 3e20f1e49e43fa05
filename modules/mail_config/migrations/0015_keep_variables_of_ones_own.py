"""Keep variables of one's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a7d20c95e418"
down_revision = "7be2d04c91f6"
branch_labels = None
depends_on = None
# See docs/adr/0019.
contract = "Programs from before stop whenever their tables change."

_FOR_ALL = sa.text("company_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "mail_config_variable",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.Column("code", sa.String(40), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_mail_config_variable_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_config_variable")),
        sa.UniqueConstraint(
            "kind", "code", "company_id", name=op.f("uq_mail_config_variable_kind_code_company_id")
        ),
    )
    op.create_index(
        "uq_mail_config_variable_for_all",
        "mail_config_variable",
        ["kind", "code"],
        unique=True,
        sqlite_where=_FOR_ALL,
        postgresql_where=_FOR_ALL,
    )


def downgrade() -> None:
    op.drop_table("mail_config_variable")
