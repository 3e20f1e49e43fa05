"""Read the mailboxes of accounts, and give web hooks another address"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.db import UtcDateTime

revision = "5e9d0c47ab18"
down_revision = "3c8a5be41f97"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outbox_mailbox") as batch_op:
        batch_op.add_column(sa.Column("account_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            "fk_outbox_mailbox_account_id_mail_config_account",
            "mail_config_account",
            ["account_id"],
            ["server_id"],
            ondelete="SET NULL",
        )
    with op.batch_alter_table("outbox_hook") as batch_op:
        batch_op.add_column(sa.Column("old_token", sa.String(64), nullable=True))
        batch_op.add_column(sa.Column("old_until", UtcDateTime(), nullable=True))
        batch_op.create_unique_constraint("uq_outbox_hook_old_token", ["old_token"])


def downgrade() -> None:
    with op.batch_alter_table("outbox_hook") as batch_op:
        batch_op.drop_constraint("uq_outbox_hook_old_token", type_="unique")
        batch_op.drop_column("old_until")
        batch_op.drop_column("old_token")
    with op.batch_alter_table("outbox_mailbox") as batch_op:
        batch_op.drop_constraint("fk_outbox_mailbox_account_id_mail_config_account", type_="foreignkey")
        batch_op.drop_column("account_id")
