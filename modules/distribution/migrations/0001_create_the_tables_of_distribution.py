"""Create the tables of distribution."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c06ec5ce8cd0"
down_revision = None
branch_labels = ("distribution",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "distribution_print",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("sorted_by", sa.String(length=32), nullable=False),
        sa.Column("double_sided", sa.Boolean(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("printed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_distribution_print_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distribution_print")),
    )
    with op.batch_alter_table("distribution_print", schema=None) as batch_op:
        batch_op.create_index("ix_distribution_print_touched_at", ["state", "touched_at"], unique=False)

    op.create_table(
        "distribution_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=True),
        sa.Column("label_id", sa.Integer(), nullable=True),
        sa.Column("on_paper", sa.Boolean(), nullable=False),
        sa.Column("to_main", sa.Boolean(), nullable=False),
        sa.Column("function_codes", sa.JSON(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("archive_folder", sa.String(length=200), nullable=False),
        sa.Column("archive_name", sa.String(length=200), nullable=False),
        sa.Column("ask_first", sa.Boolean(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("grace_minutes", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "partner_id IS NULL OR label_id IS NULL", name=op.f("ck_distribution_rule_one_target")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["core_company.id"], name=op.f("fk_distribution_rule_company_id_core_company")
        ),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["core_partner_label.id"],
            name=op.f("fk_distribution_rule_label_id_core_partner_label"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_distribution_rule_partner_id_core_partner"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distribution_rule")),
    )
    with op.batch_alter_table("distribution_rule", schema=None) as batch_op:
        batch_op.create_index("ix_distribution_rule_company_id", ["company_id", "partner_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_distribution_rule_partner_id"), ["partner_id"], unique=False)

    op.create_table(
        "distribution_dispatch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=True),
        sa.Column("company_id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("way", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("rule_id", sa.Integer(), nullable=True),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mail_id", sa.Integer(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("print_id", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_distribution_dispatch_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["core_company.id"], name=op.f("fk_distribution_dispatch_company_id_core_company")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name=op.f("fk_distribution_dispatch_document_id_core_document"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name=op.f("fk_distribution_dispatch_mail_id_outbox_mail"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["partner_id"],
            ["core_partner.id"],
            name=op.f("fk_distribution_dispatch_partner_id_core_partner"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["print_id"],
            ["distribution_print.id"],
            name=op.f("fk_distribution_dispatch_print_id_distribution_print"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"],
            ["distribution_rule.id"],
            name=op.f("fk_distribution_dispatch_rule_id_distribution_rule"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_distribution_dispatch")),
        sa.UniqueConstraint("mail_id", name=op.f("uq_distribution_dispatch_mail_id")),
    )
    with op.batch_alter_table("distribution_dispatch", schema=None) as batch_op:
        batch_op.create_index("ix_distribution_dispatch_at", ["at", "id"], unique=False)
        batch_op.create_index("ix_distribution_dispatch_state", ["state", "at", "id"], unique=False)
        batch_op.create_index("ix_distribution_dispatch_document_id", ["document_id", "id"], unique=False)
        batch_op.create_index(
            "ix_distribution_dispatch_due",
            ["way", "due_at"],
            unique=False,
            sqlite_where=sa.text("state = 'due'"),
            postgresql_where=sa.text("state = 'due'"),
        )
        batch_op.create_index("ix_distribution_dispatch_partner_id", ["partner_id", "at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_distribution_dispatch_print_id"), ["print_id"], unique=False)
        batch_op.create_index(
            "uq_distribution_dispatch_automatic",
            ["document_id", "way", "revision"],
            unique=True,
            sqlite_where=sa.text("automatic"),
            postgresql_where=sa.text("automatic"),
        )


def downgrade() -> None:
    with op.batch_alter_table("distribution_dispatch", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_distribution_dispatch_automatic",
            sqlite_where=sa.text("automatic"),
            postgresql_where=sa.text("automatic"),
        )
        batch_op.drop_index(batch_op.f("ix_distribution_dispatch_print_id"))
        batch_op.drop_index("ix_distribution_dispatch_partner_id")
        batch_op.drop_index(
            "ix_distribution_dispatch_due",
            sqlite_where=sa.text("state = 'due'"),
            postgresql_where=sa.text("state = 'due'"),
        )
        batch_op.drop_index("ix_distribution_dispatch_document_id")
        batch_op.drop_index("ix_distribution_dispatch_state")
        batch_op.drop_index("ix_distribution_dispatch_at")

    op.drop_table("distribution_dispatch")
    with op.batch_alter_table("distribution_rule", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_distribution_rule_partner_id"))
        batch_op.drop_index("ix_distribution_rule_company_id")

    op.drop_table("distribution_rule")
    with op.batch_alter_table("distribution_print", schema=None) as batch_op:
        batch_op.drop_index("ix_distribution_print_touched_at")

    op.drop_table("distribution_print")
