"""Take in what comes back: mailboxes, messages, and what they say about recipients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5a1d7c30e94b"
down_revision = "f19d3c7a5b20"
branch_labels = None
depends_on = None

_WAITS = sa.text("verdict = 'waits'")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "outbox_mailbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("encryption", sa.String(32), nullable=False),
        sa.Column("username", sa.String(254), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("folder", sa.String(200), nullable=False),
        sa.Column("mark_seen", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=True),
        sa.Column("last_uid", sa.BigInteger(), nullable=False),
        _moment("read_from"),
        _moment("tried_at", nullable=True),
        _moment("looked_at", nullable=True),
        sa.Column("failure_kind", sa.String(32), nullable=True),
        sa.Column("failure_words", sa.String(500), nullable=False),
        _moment("failing_since", nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_mailbox")),
    )
    op.create_table(
        "outbox_inbound",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("mailbox_id", sa.Integer(), nullable=True),
        sa.Column("nature", sa.String(32), nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("mail_id", sa.Integer(), nullable=True),
        sa.Column("answered_by_id", sa.Integer(), nullable=True),
        sa.Column("back_on", sa.Date(), nullable=True),
        _moment("received_at"),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["outbox_mailbox.id"],
            name=op.f("fk_outbox_inbound_mailbox_id_outbox_mailbox"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["outbox_mail.id"],
            name=op.f("fk_outbox_inbound_mail_id_outbox_mail"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["answered_by_id"],
            ["outbox_recipient.id"],
            name=op.f("fk_outbox_inbound_answered_by_id_outbox_recipient"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_inbound")),
        sa.UniqueConstraint("sha256", name=op.f("uq_outbox_inbound_sha256")),
    )
    for name, columns in (
        ("message_id", ["message_id"]),
        ("mailbox_id", ["mailbox_id"]),
        ("answered_by_id", ["answered_by_id"]),
        ("mail_id", ["mail_id", "id"]),
        ("received_at", ["received_at"]),
    ):
        op.create_index(f"ix_outbox_inbound_{name}", "outbox_inbound", columns)
    op.create_index(
        "ix_outbox_inbound_waits", "outbox_inbound", ["id"], sqlite_where=_WAITS, postgresql_where=_WAITS
    )
    op.create_table(
        "outbox_notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("inbound_id", sa.Integer(), nullable=False),
        sa.Column("recipient_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("permanent", sa.Boolean(), nullable=True),
        sa.Column("failure_kind", sa.String(32), nullable=True),
        sa.Column("failure_also", sa.String(32), nullable=True),
        sa.Column("failure_advice", sa.String(32), nullable=False),
        sa.Column("reply_code", sa.Integer(), nullable=False),
        sa.Column("enhanced_code", sa.String(16), nullable=False),
        sa.Column("diagnostic", sa.Text(), nullable=False),
        _moment("retry_until", nullable=True),
        _moment("at"),
        sa.ForeignKeyConstraint(
            ["inbound_id"],
            ["outbox_inbound.id"],
            name=op.f("fk_outbox_notice_inbound_id_outbox_inbound"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["outbox_recipient.id"],
            name=op.f("fk_outbox_notice_recipient_id_outbox_recipient"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_notice")),
    )
    for column in ("inbound_id", "recipient_id"):
        op.create_index(op.f(f"ix_outbox_notice_{column}"), "outbox_notice", [column])


def downgrade() -> None:
    for table in ("outbox_notice", "outbox_inbound", "outbox_mailbox"):
        op.drop_table(table)
