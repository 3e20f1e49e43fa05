"""Call an encrypted address and an exported mail by the names that the rest of the house uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5c1f0b7e93ad"
down_revision = "e2a9c4d17b60"
branch_labels = None
depends_on = None

_COLUMNS = "id, document_id, by_user_id, at, subject, recipient_count"


def _move(former: str, new: str) -> None:
    """Make the table anew: with a mere renaming its constraints and its index would keep the former name."""
    op.create_table(
        new,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("by_user_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("recipient_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_user_id"],
            ["core_user.id"],
            name=op.f(f"fk_{new}_by_user_id_core_user"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["core_document.id"],
            name=op.f(f"fk_{new}_document_id_core_document"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{new}")),
    )
    op.execute(f"INSERT INTO {new} ({_COLUMNS}) SELECT {_COLUMNS} FROM {former}")  # noqa: S608 (our own names)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"SELECT setval('{new}_id_seq', (SELECT COALESCE(MAX(id), 0) + 1 FROM {new}), false)")  # noqa: S608
    op.drop_table(former)
    op.create_index(op.f(f"ix_{new}_document_id"), new, ["document_id"], unique=False)


def upgrade() -> None:
    op.execute("ALTER TABLE outbox_recipient RENAME COLUMN sealed TO encrypted_address")
    _move("outbox_hand_over", "outbox_eml_export")


def downgrade() -> None:
    _move("outbox_eml_export", "outbox_hand_over")
    op.execute("ALTER TABLE outbox_recipient RENAME COLUMN encrypted_address TO sealed")
