"""Say more in templates"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2ccaa98ef752"
down_revision = "abf4c4d79a84"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_config_template_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("media_type", sa.String(length=120), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["mail_config_template.id"],
            name=op.f("fk_mail_config_template_file_template_id_mail_config_template"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_config_template_file")),
    )
    with op.batch_alter_table("mail_config_template_file", schema=None) as batch_op:
        batch_op.create_index("ix_mail_config_template_file_sha256", ["sha256"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_mail_config_template_file_template_id"), ["template_id"], unique=False
        )

    op.create_table(
        "mail_config_template_recipient",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("value", sa.String(length=254), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["mail_config_template.id"],
            name=op.f("fk_mail_config_template_recipient_template_id_mail_config_template"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_config_template_recipient")),
    )
    with op.batch_alter_table("mail_config_template_recipient", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_mail_config_template_recipient_template_id"), ["template_id"], unique=False
        )

    op.create_table(
        "mail_config_template_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("contents", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_mail_config_template_revision_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["mail_config_template.id"],
            name=op.f("fk_mail_config_template_revision_template_id_mail_config_template"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_config_template_revision")),
    )
    with op.batch_alter_table("mail_config_template_revision", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_mail_config_template_revision_template_id"), ["template_id"], unique=False
        )

    with op.batch_alter_table("mail_config_template", schema=None) as batch_op:
        batch_op.add_column(sa.Column("partner_id", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("priority", sa.String(length=32), nullable=False, server_default="normal")
        )
        batch_op.add_column(
            sa.Column("delivery_receipt", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(
            sa.Column("read_receipt", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        batch_op.create_index(batch_op.f("ix_mail_config_template_partner_id"), ["partner_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_mail_config_template_partner_id_core_partner"),
            "core_partner",
            ["partner_id"],
            ["id"],
            ondelete="CASCADE",
        )


def downgrade() -> None:
    with op.batch_alter_table("mail_config_template", schema=None) as batch_op:
        batch_op.drop_constraint(
            batch_op.f("fk_mail_config_template_partner_id_core_partner"), type_="foreignkey"
        )
        batch_op.drop_index(batch_op.f("ix_mail_config_template_partner_id"))
        batch_op.drop_column("revision")
        batch_op.drop_column("read_receipt")
        batch_op.drop_column("delivery_receipt")
        batch_op.drop_column("priority")
        batch_op.drop_column("partner_id")

    with op.batch_alter_table("mail_config_template_revision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_config_template_revision_template_id"))

    op.drop_table("mail_config_template_revision")
    with op.batch_alter_table("mail_config_template_recipient", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_config_template_recipient_template_id"))

    op.drop_table("mail_config_template_recipient")
    with op.batch_alter_table("mail_config_template_file", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_mail_config_template_file_template_id"))
        batch_op.drop_index("ix_mail_config_template_file_sha256")

    op.drop_table("mail_config_template_file")
