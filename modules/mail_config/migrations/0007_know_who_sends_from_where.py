"""Know who sends from where"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e83b5d0c61f7"
down_revision = "5b7e0d94c3a1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("mail_config_server", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner_id", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("own_address", sa.String(length=254), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("relay", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("ca_certificate", sa.Text(), nullable=False, server_default=""))
        batch_op.create_foreign_key(
            batch_op.f("fk_mail_config_server_owner_id_core_user"),
            "core_user",
            ["owner_id"],
            ["id"],
            ondelete="CASCADE",
        )
        batch_op.create_unique_constraint(batch_op.f("uq_mail_config_server_owner_id"), ["owner_id"])
    with op.batch_alter_table("mail_config_server", schema=None) as batch_op:
        for column in ("own_address", "relay", "ca_certificate"):
            batch_op.alter_column(column, server_default=None)
    op.create_table(
        "mail_config_user_sender",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("own_server", sa.Boolean(), nullable=False),
        sa.Column("allowed_address", sa.String(length=254), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["core_user.id"],
            name=op.f("fk_mail_config_user_sender_user_id_core_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_mail_config_user_sender")),
    )
    op.create_table(
        "mail_config_company_sender",
        sa.Column("company_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("reply_to", sa.String(length=254), nullable=False),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["core_company.id"],
            name=op.f("fk_mail_config_company_sender_company_id_core_company"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mail_config_server.id"],
            name=op.f("fk_mail_config_company_sender_server_id_mail_config_server"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("company_id", "purpose", name=op.f("pk_mail_config_company_sender")),
    )


def downgrade() -> None:
    op.drop_table("mail_config_company_sender")
    op.drop_table("mail_config_user_sender")
    # Without an owner each would send for everybody.
    op.execute("DELETE FROM mail_config_server WHERE owner_id IS NOT NULL")
    with op.batch_alter_table("mail_config_server", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_mail_config_server_owner_id"), type_="unique")
        batch_op.drop_constraint(batch_op.f("fk_mail_config_server_owner_id_core_user"), type_="foreignkey")
        for column in ("ca_certificate", "relay", "own_address", "owner_id"):
            batch_op.drop_column(column)
