"""Add what was selected in steps"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7d20c4e91a6"
down_revision = "5c81e07ad96f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_run", sa.Column("to_add", sa.LargeBinary(), nullable=True))
    op.create_index("ix_outbox_run_item_run_id_id", "outbox_run_item", ["run_id", "id"])
    # Of a batch that was left half prepared before, it is not known what else was selected: nobody starts a part of it.
    op.execute(
        "UPDATE outbox_run SET state = 'stopped' WHERE state = 'draft' AND item_count <> "
        "(SELECT count(*) FROM outbox_run_item WHERE outbox_run_item.run_id = outbox_run.id)"
    )


def downgrade() -> None:
    # What has no item yet is lost; the former version starts no batch that lacks some.
    op.drop_index("ix_outbox_run_item_run_id_id", table_name="outbox_run_item")
    op.drop_column("outbox_run", "to_add")
