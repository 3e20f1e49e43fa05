"""Use addresses without keeping them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e2a9c4d17b60"
down_revision = "b141293ab9a4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outbox_mail", schema=None) as batch_op:
        batch_op.add_column(sa.Column("private", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index(
            "ix_outbox_mail_private",
            ["state", "settled_at"],
            unique=False,
            sqlite_where=sa.text("private = 1 AND contents_erased_at IS NULL"),
            postgresql_where=sa.text("private AND contents_erased_at IS NULL"),
        )
    with op.batch_alter_table("outbox_recipient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("outbox_recipient", schema=None) as batch_op:
        batch_op.drop_column("sealed")
    with op.batch_alter_table("outbox_mail", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_mail_private")
        batch_op.drop_column("private")
