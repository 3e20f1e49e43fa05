"""Keep what is answered, with its thread and who is told; let relays tell by web hooks what became of mails."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c2e84f6b1d37"
down_revision = "8d40b6f1c2e7"
branch_labels = None
depends_on = None

_TOLD = sa.text("hook_id IS NOT NULL")
_ANSWERS = sa.text("answers_id IS NOT NULL")


def _words(name: str, length: int) -> sa.Column[object]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    op.create_table(
        "outbox_answer",
        sa.Column("inbound_id", sa.Integer(), autoincrement=False, nullable=False),
        _words("sender", 254),
        _words("sender_name", 160),
        _words("reply_to", 254),
        _words("subject", 500),
        sa.Column("body_text", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=False),
        sa.Column("reference_ids", sa.Text(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["inbound_id"],
            ["outbox_inbound.id"],
            name=op.f("fk_outbox_answer_inbound_id_outbox_inbound"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("inbound_id", name=op.f("pk_outbox_answer")),
    )
    op.create_index(op.f("ix_outbox_answer_sender"), "outbox_answer", ["sender"])
    op.create_table(
        "outbox_answer_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("answer_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _words("name", 200),
        _words("media_type", 120),
        sa.Column("size", sa.Integer(), nullable=False),
        _words("sha256", 64),
        sa.ForeignKeyConstraint(
            ["answer_id"],
            ["outbox_answer.inbound_id"],
            name=op.f("fk_outbox_answer_file_answer_id_outbox_answer"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_answer_file")),
    )
    for column in ("answer_id", "sha256"):
        op.create_index(op.f(f"ix_outbox_answer_file_{column}"), "outbox_answer_file", [column])
    op.add_column("outbox_mail", sa.Column("answers_id", sa.Integer(), nullable=True))
    op.add_column("outbox_mail", sa.Column("in_reply_to", sa.String(255), server_default="", nullable=False))
    op.add_column("outbox_mail", sa.Column("reference_ids", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "outbox_mail", sa.Column("reply_tagged", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_index(
        "ix_outbox_mail_answers_id",
        "outbox_mail",
        ["answers_id"],
        sqlite_where=_ANSWERS,
        postgresql_where=_ANSWERS,
    )
    op.add_column("outbox_mailbox", sa.Column("address", sa.String(254), server_default="", nullable=False))
    op.add_column(
        "outbox_mailbox", sa.Column("tag_answers", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "outbox_hook",
        sa.Column("id", sa.Integer(), nullable=False),
        _words("name", 80),
        _words("provider", 32),
        _words("token", 64),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        _words("refused_why", 32),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_hook")),
        sa.UniqueConstraint("token", name=op.f("uq_outbox_hook_token")),
    )
    op.add_column("outbox_inbound", sa.Column("hook_id", sa.Integer(), nullable=True))
    op.create_index(
        "ix_outbox_inbound_hook_id",
        "outbox_inbound",
        ["hook_id", "id"],
        sqlite_where=_TOLD,
        postgresql_where=_TOLD,
    )
    op.add_column("outbox_alert", sa.Column("inbound_id", sa.Integer(), nullable=True))
    op.add_column(
        "outbox_alert_preference",
        sa.Column("answers", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("outbox_alert_preference", "answers")
    op.drop_column("outbox_alert", "inbound_id")
    op.drop_index("ix_outbox_inbound_hook_id", table_name="outbox_inbound")
    op.drop_column("outbox_inbound", "hook_id")
    op.drop_table("outbox_hook")
    op.drop_column("outbox_mailbox", "tag_answers")
    op.drop_column("outbox_mailbox", "address")
    op.drop_index("ix_outbox_mail_answers_id", table_name="outbox_mail")
    for name in ("reply_tagged", "reference_ids", "in_reply_to", "answers_id"):
        op.drop_column("outbox_mail", name)
    op.drop_table("outbox_answer_file")
    op.drop_table("outbox_answer")
