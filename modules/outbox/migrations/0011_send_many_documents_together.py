"""Send many documents together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f19d3c7a5b20"
down_revision = "f2a96c04d8b1"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('draft', 'running', 'stopped') AND ended_at IS NULL")
_OF_RUN = sa.text("run_id IS NOT NULL")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "outbox_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("list_name", sa.String(60), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=True),
        sa.Column("template_revision", sa.Integer(), nullable=False),
        sa.Column("not_before", _MOMENT, nullable=True),
        sa.Column("paused_why", sa.String(200), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("touched_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"], ["core_user.id"], name="fk_outbox_run_by_user_id_core_user", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["core_company.id"], name="fk_outbox_run_company_id_core_company"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_run"),
    )
    op.create_index("ix_outbox_run_by_user_id", "outbox_run", ["by_user_id", "id"])
    op.create_index("ix_outbox_run_company_id", "outbox_run", ["company_id", "id"])
    op.create_index(
        "ix_outbox_run_open", "outbox_run", ["touched_at"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "outbox_run_item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=True),
        sa.Column("company_id", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("detail", sa.String(300), nullable=False),
        sa.Column("anyway", sa.Boolean(), nullable=False),
        sa.Column("encrypted_choice", sa.LargeBinary(), nullable=True),
        sa.Column("mail_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["outbox_run.id"], name="fk_outbox_run_item_run_id_outbox_run", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name="fk_outbox_run_item_document_id_core_document",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name="fk_outbox_run_item_mail_id_outbox_mail",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_run_item"),
        sa.UniqueConstraint("mail_id", name="uq_outbox_run_item_mail_id"),
    )
    op.create_index(
        "ix_outbox_run_item_state", "outbox_run_item", ["run_id", "state", "reason", "company_id", "id"]
    )
    op.create_index(
        "uq_outbox_run_item_document_id", "outbox_run_item", ["run_id", "document_id"], unique=True
    )
    op.create_index("ix_outbox_run_item_document_id", "outbox_run_item", ["document_id"])
    op.add_column("outbox_mail", sa.Column("run_id", sa.Integer(), nullable=True))
    op.create_index(
        "ix_outbox_mail_run_id",
        "outbox_mail",
        ["run_id", "state", "id"],
        sqlite_where=_OF_RUN,
        postgresql_where=_OF_RUN,
    )
    op.add_column("outbox_alert", sa.Column("run_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("outbox_alert", "run_id")
    op.drop_index("ix_outbox_mail_run_id", "outbox_mail")
    op.drop_column("outbox_mail", "run_id")
    op.drop_table("outbox_run_item")
    op.drop_table("outbox_run")
