"""Record events and alerts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1a65af0174da"
down_revision = "48639aedeac8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_alert_preference",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("by_mail", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["core_user.id"],
            name=op.f("fk_outbox_alert_preference_user_id_core_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_outbox_alert_preference")),
    )
    op.create_table(
        "outbox_alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("mail_id", sa.Integer(), nullable=True),
        sa.Column("server_id", sa.Integer(), nullable=True),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("words", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name=op.f("fk_outbox_alert_mail_id_outbox_mail"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mail_config_server.id"],
            name=op.f("fk_outbox_alert_server_id_mail_config_server"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["core_user.id"], name=op.f("fk_outbox_alert_user_id_core_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_alert")),
    )
    with op.batch_alter_table("outbox_alert", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_alert_mail_id"), ["mail_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_outbox_alert_server_id"), ["server_id"], unique=False)
        batch_op.create_index("ix_outbox_alert_user_id", ["user_id", "seen_at", "id"], unique=False)

    op.create_table(
        "outbox_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mail_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("before", sa.String(length=32), nullable=True),
        sa.Column("after", sa.String(length=32), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f("fk_outbox_event_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name=op.f("fk_outbox_event_mail_id_outbox_mail"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_event")),
    )
    with op.batch_alter_table("outbox_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_event_mail_id"), ["mail_id"], unique=False)

    with op.batch_alter_table("outbox_mail", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("document_kind", sa.String(length=60), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("failure_also", sa.String(length=32), nullable=True))
        batch_op.add_column(
            sa.Column("failure_advice", sa.String(length=32), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("due_since", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("waits_for_server", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("slot_server_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("keep_days", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("contents_erased_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("is_alert", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index(
            "ix_outbox_mail_contents",
            ["keep_days", "settled_at"],
            unique=False,
            sqlite_where=sa.text("contents_erased_at IS NULL AND settled_at IS NOT NULL"),
            postgresql_where=sa.text("contents_erased_at IS NULL AND settled_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_outbox_mail_reason",
            ["failure_kind", "server_id", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('failed', 'partial', 'uncertain')"),
            postgresql_where=sa.text("state IN ('failed', 'partial', 'uncertain')"),
        )
        batch_op.create_index(
            "ix_outbox_mail_waiting",
            ["failure_kind", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('queued', 'deferred', 'scheduled', 'sending')"),
            postgresql_where=sa.text("state IN ('queued', 'deferred', 'scheduled', 'sending')"),
        )

    with op.batch_alter_table("outbox_attachment", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_attachment_sha256", ["sha256"], unique=False)

    with op.batch_alter_table("outbox_recipient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("failure_also", sa.String(length=32), nullable=True))
        batch_op.add_column(
            sa.Column("failure_advice", sa.String(length=32), nullable=False, server_default="")
        )

    op.execute(
        "UPDATE outbox_mail SET document_kind = COALESCE("
        "(SELECT kind FROM core_document WHERE core_document.id = outbox_mail.document_id), '')"
    )


def downgrade() -> None:
    with op.batch_alter_table("outbox_attachment", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_attachment_sha256")

    with op.batch_alter_table("outbox_recipient", schema=None) as batch_op:
        batch_op.drop_column("failure_advice")
        batch_op.drop_column("failure_also")

    with op.batch_alter_table("outbox_mail", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_outbox_mail_waiting",
            sqlite_where=sa.text("state IN ('queued', 'deferred', 'scheduled', 'sending')"),
            postgresql_where=sa.text("state IN ('queued', 'deferred', 'scheduled', 'sending')"),
        )
        batch_op.drop_index(
            "ix_outbox_mail_reason",
            sqlite_where=sa.text("state IN ('failed', 'partial', 'uncertain')"),
            postgresql_where=sa.text("state IN ('failed', 'partial', 'uncertain')"),
        )
        batch_op.drop_index(
            "ix_outbox_mail_contents",
            sqlite_where=sa.text("contents_erased_at IS NULL AND settled_at IS NOT NULL"),
            postgresql_where=sa.text("contents_erased_at IS NULL AND settled_at IS NOT NULL"),
        )
        batch_op.drop_column("is_alert")
        batch_op.drop_column("contents_erased_at")
        batch_op.drop_column("keep_days")
        batch_op.drop_column("slot_server_id")
        batch_op.drop_column("slot_at")
        batch_op.drop_column("waits_for_server")
        batch_op.drop_column("due_since")
        batch_op.drop_column("failure_advice")
        batch_op.drop_column("failure_also")
        batch_op.drop_column("document_kind")

    with op.batch_alter_table("outbox_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_event_mail_id"))

    op.drop_table("outbox_event")
    with op.batch_alter_table("outbox_alert", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_alert_user_id")
        batch_op.drop_index(batch_op.f("ix_outbox_alert_server_id"))
        batch_op.drop_index(batch_op.f("ix_outbox_alert_mail_id"))

    op.drop_table("outbox_alert")
    op.drop_table("outbox_alert_preference")
